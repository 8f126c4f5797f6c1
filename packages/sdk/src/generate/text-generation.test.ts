import type { Session } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists } from '../testing/reference-data.js';
import type { EmuTokenizer } from '../tokenizer/index.js';
import { searchBeams } from './beam-search.js';
import { TokenTrie } from './constraints.js';
import { searchContrastively } from './contrastive-search.js';
import {
  goldenGeneration,
  goldenImageRows,
  openReferenceLanguageModel,
  templateElements,
  type GoldenRun,
} from '../testing/reference-prompts.js';
import type { Decoder } from './step.js';
import { chooseBest, makeTokens } from './token-loop.js';
import type { TokenRun, TokenTask } from './token-run.js';

const { llama } = referenceConfig;
const golden = referenceExists ? goldenGeneration() : undefined;
const trie = golden?.trie ?? [];

interface Model {
  readonly decoder: Decoder;
  readonly session: Session;
  readonly tokenizer: EmuTokenizer;
}

/** Arguments of the authors' generate, with its defaults. */
function taskOf(
  { decoder, tokenizer }: Model,
  run: GoldenRun,
  prompt: string,
  image: number | undefined,
): TokenTask {
  const args = {
    min_length: 1,
    max_new_tokens: 50,
    repetition_penalty: 1,
    no_repeat_ngram_size: 0,
    ...run.args,
  };
  const { bos, eos } = tokenizer.specialTokens;
  const images = Array.isArray(run.prompt) ? [image] : run.images;
  const rows = (images ?? []).flatMap((index) => (index === undefined ? [] : goldenImageRows(index)));
  const choices = 'prefix_allowed_tokens_fn' in args ? new TokenTrie(trie, eos) : undefined;
  return {
    decoder,
    prompt: templateElements(tokenizer, prompt, rows),
    startId: bos,
    maxNewTokens: args.max_new_tokens,
    rules: {
      minLength: args.min_length,
      repetitionPenalty: args.repetition_penalty,
      noRepeatNgramSize: args.no_repeat_ngram_size,
      endId: eos,
      allowedAfter: choices && ((ids) => choices.allowedAfter(ids)),
    },
  };
}

async function runsOf(model: Model, run: GoldenRun): Promise<readonly TokenRun[]> {
  const args = { num_beams: 5, length_penalty: 0, num_captions: 1, ...run.args };
  const prompts = typeof run.prompt === 'string' ? [run.prompt] : run.prompt;
  // Prompts of a batch run at the same time: their rows share runs.
  const results = await Promise.all(
    prompts.map(async (prompt, index) => {
      const task = taskOf(model, run, prompt, run.images?.[index]);
      if ('penalty_alpha' in run.args) {
        const { penalty_alpha: penaltyAlpha, top_k: topK } = run.args;
        return [await searchContrastively(task, { penaltyAlpha: Number(penaltyAlpha), topK: Number(topK) })];
      }
      if (args.num_beams === 1) return [await makeTokens(task, chooseBest)];
      return searchBeams(task, {
        numBeams: args.num_beams,
        lengthPenalty: args.length_penalty,
        numReturn: args.num_captions,
      });
    }),
  );
  return results.flat();
}

const runs = golden?.runs ?? [];

describe.skipIf(!referenceExists).each(testBackends)(
  'generation on $name, against the authors',
  ({ backend }) => {
    const models = new Map<'multimodal' | 'instruct', Model>();

    beforeAll(async () => {
      models.set('multimodal', await openReferenceLanguageModel('multimodal', llama, backend));
      models.set(
        'instruct',
        await openReferenceLanguageModel(
          'instruct',
          {
            ...llama,
            vocabulary: llama.vocabulary + 2,
            lora: { rank: 16, alpha: 16, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] },
          },
          backend,
        ),
      );
    });

    afterAll(async () => {
      for (const { decoder, session } of models.values()) {
        expect(decoder.cache.freeSlots).toBe(decoder.cache.shape.slots);
        expect(decoder.cache.freePages + decoder.pages.size).toBe(decoder.cache.shape.pages);
        await session.dispose();
      }
    });

    it.each(runs.map((run) => [run.name, run] as const))('%s', async (name, run) => {
      const model = models.get(name.startsWith('instruct') ? 'instruct' : 'multimodal');
      if (model === undefined) throw new Error('no model');
      const { bos, pad } = model.tokenizer.specialTokens;
      const results = await runsOf(model, run);
      const longest = Math.max(...run.ids.map((ids) => ids.length));
      const padded = results.map(({ ids }) => {
        const row = [bos, ...ids];
        return [...row, ...new Array<number>(longest - row.length).fill(pad)];
      });
      expect(padded).toEqual(run.ids);
      expect(results.map(({ ids }) => model.tokenizer.decode(ids))).toEqual(run.text);
      for (const [index, score] of (run.sequences_scores ?? []).entries()) {
        // A sum of float32 logarithms: a few units in the last place of sums down to -211.
        expect(Math.abs((results[index]?.score ?? NaN) - score)).toBeLessThan(1e-4 + 1e-6 * Math.abs(score));
      }
    });
  },
);
