import { describe, expect, it } from 'vitest';

import { fastDevice } from './testing/generation-devices.js';
import { image } from './image/media.js';
import { Emu } from './node.js';
import { referenceExists, referencePath } from './testing/reference-data.js';

const prompt = [image(referencePath('inputs/image0.png')), 'what is the man doing?'];

describe.skipIf(!referenceExists || fastDevice !== 'cpu')('an Emu on the C++ backend', () => {
  it.each(['f32', 'bf16'] as const)('gives the same with 1 and 2 threads: %s', async (dtype) => {
    const results = [];
    for (const threads of [1, 2]) {
      await using emu = await Emu.fromPretrained(referencePath('checkpoint'), { threads, dtype });
      const text = await emu
        .generate(prompt, { temperature: 1, topP: 1, seed: 3, maxNewTokens: 20 })
        .result();
      const beams = await emu.generate(prompt, { numBeams: 4, minNewTokens: 10, maxNewTokens: 12 }).result();
      const [picture] = await emu.imagine('a dog', { steps: 4, seed: 3 }).images();
      results.push({ tokens: text.tokens, beams: beams.tokens, score: beams.score, picture });
    }
    expect(results[1]).toEqual(results[0]);
  });

  it('stays near f32 in bf16, which is what the checkpoint stores', async () => {
    await using half = await Emu.fromPretrained(referencePath('checkpoint'));
    await using full = await Emu.fromPretrained(referencePath('checkpoint'), { dtype: 'f32' });
    expect([half.model.precision.matrices, full.model.precision.matrices]).toEqual(['bf16', 'f32']);
    const losses = [];
    for (const emu of [half, full]) {
      const [first] = await emu.score(prompt, ['two dogs playing in the grass']);
      losses.push(first?.meanLoss ?? NaN);
    }
    const [bf16 = NaN, f32 = NaN] = losses;
    expect(Math.abs(bf16 - f32) / f32).toBeLessThan(0.02);
  });

  it('runs out of places in the cache one call at a time', async () => {
    const options = { dtype: 'f32', cacheSlots: 5, cacheTokens: 256 } as const;
    await using emu = await Emu.fromPretrained(referencePath('checkpoint'), options);
    const alone = await emu.generate(prompt, { maxNewTokens: 8 }).text();
    const streams = Array.from({ length: 4 }, () => emu.generate(prompt, { maxNewTokens: 8 }));
    const positions: number[] = [];
    for (const stream of streams) {
      for await (const event of stream) if (event.type === 'queued') positions.push(event.position);
      expect(await stream.text()).toBe(alone);
    }
    // Which of them is first depends on whose picture is ready first.
    expect(positions.sort()).toEqual([0, 1, 2]);
    await expect(emu.generate(prompt, { numBeams: 6 }).text()).rejects.toThrow(
      '[kv cache] the call needs 6 sequences and',
    );
  });
});
