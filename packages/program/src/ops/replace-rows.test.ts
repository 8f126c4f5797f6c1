import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { replaceRows } from './replace-rows.js';

const replace = (target: number[]) =>
  evaluate((t) => replaceRows(t.input('x', [3, 1]), t.input('rows', [2, 1]), t.input('target', [2], 'i32')), {
    x: Float32Array.of(1, 2, 3),
    rows: Float32Array.of(8, 9),
    target: Int32Array.from(target),
  });

describe('replaceRows', () => {
  it('keeps the last of two rows for one place', async () => {
    expect([...(await replace([1, 1]))]).toEqual([1, 9, 3]);
  });

  it('refuses targets that are not there and rows of another width', async () => {
    await expect(replace([0, 3])).rejects.toThrow('[replaceRows] target 3 at row 1 is not in -1..2');
    await expect(replace([-2, 0])).rejects.toThrow('[replaceRows] target -2 at row 0 is not in -1..2');
    expect(
      tracing((t) =>
        replaceRows(t.input('x', [3, 4]), t.input('rows', [2, 5]), t.input('target', [2], 'i32')),
      ),
    ).toThrow('[replaceRows] D is 4 in x but 5 in rows');
  });
});
