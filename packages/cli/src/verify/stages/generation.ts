import {
  chooseBest,
  makeTokens,
  searchBeams,
  searchContrastively,
  TokenTrie,
  type TokenRun,
  type TokenTask,
} from '@emu/sdk/generate';

import { list, numbers, record, text, type JsonRecord } from '../goldens.js';
import { templateElements } from '../prompts.js';
import type { Stage, StageContext } from '../stage.js';
import type { Subject } from '../subject.js';
import { goldenOrOwnEmbeddings } from './llm.js';

const file = 'generation.json';

interface Run {
  readonly name: string;
  readonly prompts: readonly string[];
  /** Pictures of each prompt. */
  readonly images: readonly (readonly number[])[];
  readonly args: JsonRecord;
  readonly golden: JsonRecord;
}

/** Greedy, beam, constrained and contrastive generation: token ids and texts must be equal. */
export const generationStage: Stage = {
  name: 'generation',
  async run(context) {
    const document = await context.goldens.json(file);
    const trie = list(document?.['trie'] ?? []).map(numbers);
    const ours: unknown[] = [];
    for (const value of list(document?.['runs'] ?? [])) {
      const run = parseRun(record(value));
      const subject = run.name.startsWith('instruct')
        ? await context.subjects.instruct()
        : await context.subjects.base();
      if (subject === undefined) {
        context.recorder.failure(file, run.name, new Error('the folder has no instruct checkpoint'));
        continue;
      }
      ours.push(await runCase(context, subject, run, trie));
    }
    context.recorder.document(file, { runs: ours });
  },
};

function parseRun(golden: JsonRecord): Run {
  const prompt = golden['prompt'];
  const isBatch = Array.isArray(prompt);
  const prompts = isBatch ? list(prompt).map(text) : [text(prompt)];
  const images = golden['images'] === null || golden['images'] === undefined ? [] : numbers(golden['images']);
  return {
    name: text(golden['name']),
    prompts,
    // In a batch every prompt has one picture.
    images: isBatch ? prompts.map((_, index) => images.slice(index, index + 1)) : [images],
    args: record(golden['args']),
    golden,
  };
}

async function runCase(
  context: StageContext,
  subject: Subject,
  run: Run,
  trie: readonly (readonly number[])[],
): Promise<unknown> {
  const { bos, pad } = subject.tokenizer.specialTokens;
  // Prompts of a batch run at the same time: their rows share the flat batch.
  const results = (
    await Promise.all(
      run.prompts.map(async (prompt, index) =>
        search(run, await taskOf(context, subject, run, prompt, run.images[index] ?? [], trie)),
      ),
    )
  ).flat();
  const longest = Math.max(...results.map(({ ids }) => ids.length)) + 1;
  const ids = results.map((result) => {
    const row = [bos, ...result.ids];
    return [...row, ...new Array<number>(longest - row.length).fill(pad)];
  });
  const texts = results.map((result) => subject.tokenizer.decode(result.ids));
  context.recorder.value(file, `${run.name}.ids`, ids, run.golden['ids']);
  context.recorder.value(file, `${run.name}.text`, texts, run.golden['text']);
  const scores = results.map(({ score }) => score);
  if (run.golden['sequences_scores'] !== undefined) {
    const golden = Float32Array.from(numbers(run.golden['sequences_scores']));
    context.recorder.compare(
      file,
      `${run.name}.sequences_scores`,
      Float32Array.from(scores, (s) => s ?? NaN),
      golden,
    );
  }
  return { name: run.name, ids, text: texts, ...(scores[0] !== undefined && { sequences_scores: scores }) };
}

async function search(run: Run, task: TokenTask): Promise<readonly TokenRun[]> {
  // Defaults of the authors' Emu.generate.
  const args = { num_beams: 5, length_penalty: 0, num_captions: 1, ...run.args } as Record<string, unknown>;
  if (args['penalty_alpha'] !== undefined) {
    const options = { penaltyAlpha: Number(args['penalty_alpha']), topK: Number(args['top_k']) };
    return [await searchContrastively(task, options)];
  }
  if (args['num_beams'] === 1) return [await makeTokens(task, chooseBest)];
  return searchBeams(task, {
    numBeams: Number(args['num_beams']),
    lengthPenalty: Number(args['length_penalty']),
    numReturn: Number(args['num_captions']),
  });
}

async function taskOf(
  { goldens }: StageContext,
  subject: Subject,
  run: Run,
  prompt: string,
  images: readonly number[],
  trie: readonly (readonly number[])[],
): Promise<TokenTask> {
  const args = {
    min_length: 1,
    max_new_tokens: 50,
    repetition_penalty: 1,
    no_repeat_ngram_size: 0,
    ...run.args,
  } as Record<string, unknown>;
  const { bos, eos } = subject.tokenizer.specialTokens;
  const most = Math.max(0, ...images.map((image) => image + 1));
  const { queries } = subject.config.causalTransformer;
  const all = await goldenOrOwnEmbeddings(subject, goldens, most);
  const rows = images.flatMap((image) => all.slice(image * queries, (image + 1) * queries));
  const choices = 'prefix_allowed_tokens_fn' in args ? new TokenTrie(trie, eos) : undefined;
  return {
    decoder: subject.decoder,
    prompt: templateElements(subject, prompt, rows),
    startId: bos,
    maxNewTokens: Number(args['max_new_tokens']),
    rules: {
      minLength: Number(args['min_length']),
      repetitionPenalty: Number(args['repetition_penalty']),
      noRepeatNgramSize: Number(args['no_repeat_ngram_size']),
      endId: eos,
      allowedAfter: choices && ((ids) => choices.allowedAfter(ids)),
    },
  };
}
