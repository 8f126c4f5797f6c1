import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { cacheWrite } from './cache-write.js';

const write = (slot: number[], position: number[], rows = [1, 2]) =>
  evaluate(
    (t) =>
      cacheWrite(t.state('cache', [2, 2, 1, 1]), t.input('rows', [2, 1, 1]), {
        slot: t.input('slot', [2], 'i32'),
        position: t.input('position', [2], 'i32'),
        pageTable: t.input('pageTable', [1, 2], 'i32'),
      }),
    {
      rows: Float32Array.from(rows),
      slot: Int32Array.from(slot),
      position: Int32Array.from(position),
      pageTable: Int32Array.of(1, 5),
    },
  );

describe('cacheWrite', () => {
  it('leaves out rows of slot -1, and of two rows for one place keeps the later', async () => {
    expect([...(await write([-1, 0], [77, 1]))]).toEqual([0, 0, 0, 2]);
    expect([...(await write([0, 0], [0, 0]))]).toEqual([0, 0, 2, 0]);
  });

  it('refuses slots, positions and pages that are not there, naming the row', async () => {
    await expect(write([0, 1], [0, 0])).rejects.toThrow('[cacheWrite] slot 1 at row 1 is not in -1..0');
    await expect(write([0, 0], [0, 4])).rejects.toThrow('[cacheWrite] position 4 at row 1 is not in 0..3');
    await expect(write([0, 0], [2, 0])).rejects.toThrow('[cacheWrite] page 5 at row 0 is not in 0..1');
  });

  it('refuses rows that do not fit the cache', () => {
    const build = tracing((t) => {
      const index = t.input('i', [3], 'i32');
      const where = { slot: index, position: index, pageTable: t.input('p', [1, 1], 'i32') };
      return cacheWrite(t.state('cache', [1, 4, 2, 8]), t.input('rows', [3, 2, 6]), where);
    });
    expect(build).toThrow('[cacheWrite] K is 8 in cache but 6 in rows');
  });
});
