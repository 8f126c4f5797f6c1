import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { slice } from './slice.js';

describe('slice', () => {
  const cut = (axis: number, start: number, length: number) =>
    tracing((t) => slice(t.input('x', [2, 5]), { axis, start, length }));

  it('refuses what is not all there', () => {
    expect(cut(1, 3, 3)).toThrow('[slice] length 3 is not at most 2, axis 1 has 5 from 3');
    expect(cut(1, -6, 1)).toThrow('[slice] start -1 is not an integer of at least 0');
    expect(cut(1, 0, 1.5)).toThrow('[slice] length 1.5 is not an integer of at least 0');
    expect(cut(2, 0, 1)).toThrow('[slice] axis 2 is not an axis of f32[2,5]');
  });

  it('counts a negative start from the end', async () => {
    const y = await evaluate((t) => slice(t.input('x', [4]), { axis: -1, start: -2, length: 2 }), {
      x: Float32Array.of(1, 2, 3, 4),
    });
    expect([...y]).toEqual([3, 4]);
  });
});
