import { describe, expect, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats, referenceTensor } from '../testing/reference-data.js';
import { scoreCandidates } from './ranking.js';
import {
  goldenGeneration,
  goldenImageRows,
  openReferenceLanguageModel,
  templateElements,
} from '../testing/reference-prompts.js';

describe.skipIf(!referenceExists).each(testBackends)('scoring of candidates on $name', ({ backend }) => {
  it.each([1, 2])('gives the authors losses and order with %d segments', async (segments) => {
    const { decoder, session, tokenizer } = await openReferenceLanguageModel(
      'multimodal',
      referenceConfig.llama,
      backend,
    );
    const { prompt, image, candidates } = goldenGeneration().ranking;
    const elements = templateElements(tokenizer, prompt[0] ?? '', image.flatMap(goldenImageRows));
    const tokens = candidates.map((text) => [...tokenizer.encode(text, { addBos: false })]);
    const scores = await scoreCandidates(decoder, elements, tokens, { segments, slots: 3 });
    const golden = referenceFloats('goldens/llm.safetensors', `rank.segments${segments}.losses`);
    const losses = Float32Array.from(scores, ({ authorsLoss }) => authorsLoss);
    const order = scores.map(({ index }) => index).sort((a, b) => (losses[a] ?? 0) - (losses[b] ?? 0));
    const goldenOrder = Array.from(
      referenceTensor('goldens/llm.safetensors', `rank.segments${segments}.order`).data,
      Number,
    );
    for (const [index, loss] of golden.entries()) expect(losses[index]).toBeCloseTo(loss, 4);
    expect(order).toEqual(goldenOrder);
    expect(decoder.cache.freePages + decoder.pages.size).toBe(decoder.cache.shape.pages);
    await session.dispose();
  });
});
