import type { Session } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats } from '../testing/reference-data.js';
import { expectGolden } from '../testing/reference-model.js';
import type { EmuTokenizer } from '../tokenizer/index.js';
import {
  goldenGeneration,
  goldenImageRows,
  openReferenceLanguageModel,
  templateElements,
} from '../testing/reference-prompts.js';
import { Sequence } from './sequence.js';
import type { Decoder, Element } from './step.js';
import { logitsOf, makeTokens, chooseBest } from './token-loop.js';
import { joinRows, rollOutImage } from './visual-rollout.js';

const { llama, causalTransformer } = referenceConfig;
const count = causalTransformer.queries;
const cases = referenceExists ? Object.entries(goldenGeneration().generate_image) : [];
const slots = '<image>'.repeat(count);

describe.skipIf(!referenceExists).each(testBackends)('roll-outs on $name', ({ backend }) => {
  let decoder: Decoder;
  let session: Session;
  let tokenizer: EmuTokenizer;

  beforeAll(async () => {
    ({ decoder, session, tokenizer } = await openReferenceLanguageModel('multimodal', llama, backend));
  });
  afterAll(() => session.dispose());

  async function rollOut(opening: readonly Element[]): Promise<Float32Array> {
    const sequence = Sequence.open(decoder);
    try {
      return await rollOutImage(sequence, opening, count, {});
    } finally {
      sequence.close();
    }
  }

  it.each(cases)('give the authors embeddings: %s', async (name, { text, images }) => {
    // The authors' placeholder stands for a picture in their template.
    const rows = (images ?? []).flatMap(goldenImageRows);
    const openings = text.map((prompt) =>
      templateElements(tokenizer, `${prompt.replaceAll('[<IMG_PLH>]', `[IMG]${slots}[/IMG]`)}[IMG]`, rows),
    );
    const made = await Promise.all(openings.map(rollOut)); // conditional and unconditional rows share runs
    expectGolden(joinRows(made), 'generate_image.safetensors', `${name}.embeddings`);
    expect(made[0]?.length).toBe(count * llama.width);
    expect(decoder.cache.freePages + decoder.pages.size).toBe(decoder.cache.shape.pages);
  });

  it('has the same bits whether a prompt is computed or found in the cache', async () => {
    const { bos, imageStart } = tokenizer.specialTokens;
    const opening = [bos, ...Array.from({ length: 60 }, (_, index) => 500 + index), imageStart];
    const whole = await rollOut(opening);
    const again = await rollOut(opening);
    const branched = await rollOut([...opening.slice(0, 40), 900, 901, imageStart]);
    expect(again).toEqual(whole);
    const sequence = Sequence.open(decoder);
    expect(decoder.pages.adopt(sequence.slot, opening)).toBeGreaterThan(0);
    sequence.close();
    const fresh = await openReferenceLanguageModel('multimodal', llama, backend);
    try {
      const alone = Sequence.open(fresh.decoder);
      expect(await rollOutImage(alone, [...opening.slice(0, 40), 900, 901, imageStart], count, {})).toEqual(
        branched,
      );
      alone.close();
    } finally {
      await fresh.session.dispose();
    }
  });

  it('in the middle of a text leave the state that the whole text has', async () => {
    const { bos, imageStart, imageEnd, eos } = tokenizer.specialTokens;
    const prompt = [bos, 100, 200, 300];
    let after: Float32Array | undefined;
    let embeddings = new Float32Array();
    const order = [400, imageStart, 500];
    const run = await makeTokens(
      {
        decoder,
        prompt,
        startId: bos,
        maxNewTokens: 3,
        rules: {
          repetitionPenalty: 1,
          noRepeatNgramSize: 0,
          minLength: 1,
          endId: eos,
          allowedAfter: (generated) => [order[generated.length] ?? eos],
        },
        imageHook: {
          imageStartId: imageStart,
          makeImage: async (sequence) => {
            embeddings = Float32Array.from(await rollOutImage(sequence, [imageStart], count, {}));
            const last = embeddings.subarray((count - 1) * llama.width);
            const result = await sequence.extend([last, imageEnd], ['logits']);
            after = result.logits;
            return result;
          },
        },
      },
      chooseBest,
    );
    expect(run).toEqual({ ids: order, end: 'length' });
    const rows = Array.from({ length: count }, (_, row) =>
      embeddings.subarray(row * llama.width, (row + 1) * llama.width),
    );
    const whole = Sequence.open(decoder);
    const { logits } = await whole.extend([...prompt, 400, imageStart, ...rows, imageEnd], ['logits']);
    whole.close();
    expect(after).toEqual(logits);
  });
});

describe.skipIf(!referenceExists).each(testBackends)('a step on $name', ({ backend }) => {
  it('gives a row the same bits alone, in any batch and in any pieces', async () => {
    const { decoder, session, tokenizer } = await openReferenceLanguageModel('multimodal', llama, backend);
    const golden = referenceFloats('goldens/llm.safetensors', 'logits_last3').slice(-llama.vocabulary);
    const rows = [0, 1, 2].flatMap(goldenImageRows);
    const prompt = templateElements(tokenizer, goldenGeneration().prompts['prompt1'] ?? '', rows);
    const last = async (pieces: readonly number[]): Promise<Float32Array> => {
      const sequence = Sequence.open(decoder);
      let start = 0;
      for (const length of pieces) {
        await sequence.extend(prompt.slice(start, start + length), []);
        start += length;
      }
      const { logits } = await sequence.extend(prompt.slice(start), ['logits']);
      sequence.close();
      return logitsOf({ logits: logits ?? new Float32Array() });
    };
    const alone = await last([]);
    for (const [index, value] of golden.entries())
      expect(Math.abs((alone[index] ?? NaN) - value)).toBeLessThan(1e-3);
    const ones = new Array<number>(prompt.length - 1).fill(1);
    const others = await Promise.all([
      last(ones),
      last([3, 7]),
      last([20]),
      last([40]),
      last([]),
      last([1, 33]),
    ]);
    for (const other of others) expect(other).toEqual(alone);
    await session.dispose();
  });
});
