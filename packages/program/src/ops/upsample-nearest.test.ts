import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { upsampleNearest } from './upsample-nearest.js';

describe('upsampleNearest', () => {
  it('refuses sizes that are no sizes and pictures without pixels', () => {
    const to = (shape: number[], height: number, width: number) =>
      tracing((t) => upsampleNearest(t.input('x', shape), { height, width }));
    expect(to([1, 2, 2, 3], 2.5, 4)).toThrow('[upsampleNearest] height 2.5 is not an integer of at least 0');
    expect(to([1, 0, 2, 3], 4, 4)).toThrow('[upsampleNearest] a picture 0x2 has no pixels to fill 4x4');
    expect(to([2, 2, 3], 4, 4)).toThrow('[upsampleNearest] x has 3 axes, needs [B,H,W,C]');
  });
});
