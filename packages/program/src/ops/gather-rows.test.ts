import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { gatherRows } from './gather-rows.js';

describe('gatherRows', () => {
  it('refuses an index that is not there, -1 included', async () => {
    const gather = (index: number) =>
      evaluate((t) => gatherRows(t.input('x', [3, 1]), t.input('index', [1], 'i32')), {
        x: new Float32Array(3),
        index: Int32Array.of(index),
      });
    await expect(gather(3)).rejects.toThrow('[gatherRows] index 3 at row 0 is not in 0..2');
    await expect(gather(-1)).rejects.toThrow('[gatherRows] index -1 at row 0 is not in 0..2');
  });

  it('refuses x that is not rows', () => {
    expect(tracing((t) => gatherRows(t.input('x', [3, 1, 2]), t.input('index', [1], 'i32')))).toThrow(
      '[gatherRows] x has 3 axes, needs [R,D]',
    );
  });
});
