import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { embedding } from './embedding.js';

describe('embedding', () => {
  it('refuses an id outside the table with its row', async () => {
    const look = (ids: number[]) =>
      evaluate((t) => embedding(t.input('table', [4, 2]), t.input('ids', [2, 2], 'i32')), {
        table: new Float32Array(8),
        ids: Int32Array.from(ids),
      });
    await expect(look([0, 1, 2, 4])).rejects.toThrow('[embedding] id 4 at row 3 is not in 0..3');
    await expect(look([0, -1, 2, 3])).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: '[embedding] id -1 at row 1 is not in 0..3',
      details: { op: 'embedding', row: 1, value: -1 },
    });
  });

  it('refuses ids that are not i32 and tables that are not [V,D]', () => {
    expect(tracing((t) => embedding(t.weight('table', [4, 2]), t.input('ids', [3])))).toThrow(
      '[embedding] ids is f32, needs i32: got f32[4,2], f32[3]',
    );
    expect(tracing((t) => embedding(t.weight('table', [8]), t.input('ids', [3], 'i32')))).toThrow(
      '[embedding] table has 1 axes, needs [V,D]',
    );
  });
});
