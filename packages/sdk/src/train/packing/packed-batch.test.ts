import { describe, expect, it } from 'vitest';

import { referenceConfig } from '../../testing/reference-config.js';
import { PackedBatch } from './packed-batch.js';
import type { TrainingSequence } from './training-sequence.js';

const special = { unknown: 0, bos: 1, eos: 2, pad: 9, imageStart: 10, imageEnd: 11, imageSlot: 12 };
const config = {
  ...referenceConfig,
  visual: { ...referenceConfig.visual, imageSize: 2, patchSize: 1 },
  causalTransformer: { ...referenceConfig.causalTransformer, queries: 2 },
};
const model = { config, special };
const pixels = (value: number): Float32Array => new Float32Array(12).fill(value);

const text: TrainingSequence = { ids: [1, 5, 6, 2], pictures: [] };
const pair: TrainingSequence = { ids: [1, 10, 12, 12, 11, 7, 2], pictures: [pixels(0.5)] };

describe('PackedBatch', () => {
  it('lays sequences side by side, each seeing itself alone', () => {
    const batch = new PackedBatch(model, { rows: 2, length: 8, pictures: 2, textTargets: 10 });
    expect([text, text, pair].map((sequence) => batch.add(sequence))).toEqual([true, true, true]);
    const inputs = batch.inputs({ visual: true });
    expect([...(inputs['ids'] ?? [])]).toEqual([1, 5, 6, 2, 1, 5, 6, 2, 1, 10, 12, 12, 11, 7, 2, 9]);
    expect([...(inputs['position'] ?? [])]).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 0]);
    // The unused place at the end sees itself.
    expect([...(inputs['firstKey'] ?? [])]).toEqual([0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 7]);
    expect(batch.counts).toEqual({ samples: 3, tokens: 15, images: 1 });
  });

  it('learns the next text token, never the tokens of a picture, and never across sequences', () => {
    const batch = new PackedBatch(model, { rows: 1, length: 16, pictures: 1, textTargets: 8 });
    batch.add(pair);
    batch.add({ ids: [1, 5, 6, 2], learned: [false, false, true, true], pictures: [] });
    const { textIndex, textTarget, textWeight } = batch.inputs({ visual: true });
    expect([...(textIndex ?? [])]).toEqual([4, 5, 8, 9, 0, 0, 0, 0]);
    expect([...(textTarget ?? [])]).toEqual([7, 2, 6, 2, -100, -100, -100, -100]);
    expect([...(textWeight ?? [])]).toEqual([0.25, 0.25, 0.25, 0.25, 0, 0, 0, 0]);
  });

  it('regresses N+1 places of every picture: its embeddings and [/IMG]', () => {
    const batch = new PackedBatch(model, { rows: 1, length: 16, pictures: 2, textTargets: 8 });
    batch.add(text);
    batch.add(pair);
    const { visualTarget, visualIndex, visualLabel, visualWeight } = batch.inputs({ visual: true });
    expect([...(visualTarget ?? [])]).toEqual([6, 7, -1, -1]);
    expect([...(visualIndex ?? [])]).toEqual([5, 6, 7, 0, 0, 0]);
    expect([...(visualLabel ?? [])]).toEqual([6, 7, 8, 0, 0, 0]);
    expect(visualWeight).toEqual(Float32Array.of(1 / 3, 1 / 3, 1 / 3, 0, 0, 0));
    expect(batch.inputs({})).not.toHaveProperty('visualIndex');
  });

  it('reads predictions in the places of an imagined picture, not in that of [/IMG]', () => {
    const batch = new PackedBatch(model, { rows: 1, length: 16, pictures: 3, textTargets: 8 });
    batch.add(pair);
    batch.add({ ...pair, imagined: [true] });
    const { imaginedPlace } = batch.inputs({ visual: true, imagined: true });
    expect([...(imaginedPlace ?? [])]).toEqual([-1, -1, -1, 9, 10, -1, -1, -1, -1]);
    expect(batch.inputs({ visual: true })).not.toHaveProperty('imaginedPlace');
  });

  it('takes nothing in part: tokens, targets and pictures must all have room', () => {
    expect(new PackedBatch(model, { rows: 1, length: 6, pictures: 1, textTargets: 8 }).add(pair)).toBe(false);
    expect(new PackedBatch(model, { rows: 1, length: 8, pictures: 0, textTargets: 8 }).add(pair)).toBe(false);
    const batch = new PackedBatch(model, { rows: 1, length: 8, pictures: 1, textTargets: 1 });
    expect(batch.add(pair)).toBe(false);
    expect(batch.counts).toEqual({ samples: 0, tokens: 0, images: 0 });
  });

  it('refuses slots that no picture fills', () => {
    const batch = new PackedBatch(model, { rows: 1, length: 8, pictures: 1, textTargets: 8 });
    expect(() => batch.add({ ...pair, pictures: [] })).toThrow(
      '[packing] a sequence has 0 pictures, but 1 runs of [IMG] and 2 slots; each picture needs [IMG], 2 slots and [/IMG]',
    );
  });
});
