import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { scatterAddRows } from './scatter-add-rows.js';

describe('scatterAddRows', () => {
  it('refuses indices outside -1..count-1, and passes -1 over', async () => {
    const run = (index: number) =>
      evaluate((t) => scatterAddRows(t.input('rows', [1, 2]), t.input('i', [1], 'i32'), { count: 3 }), {
        rows: Float32Array.of(5, 6),
        i: Int32Array.of(index),
      });
    await expect(run(3)).rejects.toThrow('[scatterAddRows] index 3 at row 0 is not in -1..2');
    await expect(run(-2)).rejects.toThrow('[scatterAddRows] index -2 at row 0 is not in -1..2');
    expect([...(await run(-1))]).toEqual([0, 0, 0, 0, 0, 0]);
    expect([...(await run(1))]).toEqual([0, 0, 5, 6, 0, 0]);
  });

  it('refuses a count that is no size', () => {
    expect(
      tracing((t) => scatterAddRows(t.input('rows', [1, 2]), t.input('i', [1], 'i32'), { count: -1 })),
    ).toThrow('[scatterAddRows] count -1 is not an integer of at least 0');
  });
});
