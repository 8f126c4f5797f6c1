import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { cachedAttention } from './cached-attention.js';

const table = Int32Array.of(2, 0, 1, 7);
const attend = (slot: number, position: number) =>
  evaluate(
    (t) =>
      cachedAttention(t.input('q', [2, 1, 1]), t.state('k', [3, 1, 1, 4]), t.state('v', [3, 1, 4, 1]), {
        slot: t.input('slot', [2], 'i32'),
        position: t.input('position', [2], 'i32'),
        pageTable: t.input('pageTable', [2, 2], 'i32'),
        scale: 1,
      }),
    {
      q: new Float32Array(2),
      slot: Int32Array.of(0, slot),
      position: Int32Array.of(0, position),
      pageTable: table,
    },
  );

describe('cachedAttention', () => {
  it('refuses slots, positions and pages that are not there, naming the row', async () => {
    await expect(attend(2, 0)).rejects.toThrow('[cachedAttention] slot 2 at row 1 is not in -1..1');
    await expect(attend(-2, 0)).rejects.toThrow('[cachedAttention] slot -2 at row 1 is not in -1..1');
    await expect(attend(0, 8)).rejects.toThrow('[cachedAttention] position 8 at row 1 is not in 0..7');
    await expect(attend(0, -1)).rejects.toThrow('[cachedAttention] position -1 at row 1 is not in 0..7');
    await expect(attend(1, 4)).rejects.toThrow('[cachedAttention] page 7 at row 1 is not in 0..2');
  });

  it('reads neither the position nor the pages of a row without a slot, nor pages it does not reach', async () => {
    expect([...(await attend(-1, 99))]).toEqual([0, 0]);
    expect([...(await attend(1, 3))]).toEqual([0, 0]);
  });

  it('refuses caches of two dtypes and heads that do not divide', () => {
    const build = (heads: number, dtype: 'f32' | 'bf16') =>
      tracing((t) => {
        const rows = t.input('rows', [2], 'i32');
        const options = { slot: rows, position: rows, pageTable: t.input('p', [1, 1], 'i32'), scale: 1 };
        const [k, v] = [t.state('k', [1, 2, 8, 4]), t.state('v', [1, 2, 4, 8], dtype)];
        return cachedAttention(t.input('q', [2, heads, 8]), k, v, options);
      });
    expect(build(2, 'bf16')).toThrow('[cachedAttention] keyCache is f32 but valueCache is bf16');
    expect(build(3, 'f32')).toThrow('[cachedAttention] 3 query heads are not a multiple of 2 key heads');
  });
});
