import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { cacheWrite } from './cache-write.js';
import type { CachePart } from './paged-cache.js';

const write = (slot: number[], position: number[], rows = [1, 2]) =>
  evaluate(
    (t) =>
      cacheWrite(t.state('cache', [2, 1, 2, 1]), t.input('rows', [2, 1, 1]), {
        slot: t.input('slot', [2], 'i32'),
        position: t.input('position', [2], 'i32'),
        pageTable: t.input('pageTable', [1, 2], 'i32'),
        part: 'values',
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

  it('has keys lie with their positions last and values row by row', async () => {
    const writtenAs = (part: CachePart, page: readonly [number, number]) =>
      evaluate(
        (t) =>
          cacheWrite(t.state('cache', [1, 2, ...page]), t.input('rows', [1, 2, 3]), {
            slot: t.input('slot', [1], 'i32'),
            position: t.input('position', [1], 'i32'),
            pageTable: t.input('pageTable', [1, 1], 'i32'),
            part,
          }),
        {
          rows: Float32Array.of(1, 2, 3, 4, 5, 6),
          slot: Int32Array.of(0),
          position: Int32Array.of(1),
          pageTable: Int32Array.of(0),
        },
      );
    expect([...(await writtenAs('keys', [3, 2]))]).toEqual([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6]);
    expect([...(await writtenAs('values', [2, 3]))]).toEqual([0, 0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6]);
  });

  it('refuses rows that do not fit the cache, and other parts', () => {
    const build = (part: string) =>
      tracing((t) => {
        const index = t.input('i', [3], 'i32');
        const where = { slot: index, position: index, pageTable: t.input('p', [1, 1], 'i32') };
        const cache = t.state('cache', [1, 2, 4, 8]);
        return cacheWrite(cache, t.input('rows', [3, 2, 6]), { ...where, part: part as CachePart });
      });
    expect(build('values')).toThrow('[cacheWrite] K is 8 in cache but 6 in rows');
    expect(build('keys')).toThrow('[cacheWrite] K is 4 in cache but 6 in rows');
    expect(build('both')).toThrow('[cacheWrite] part "both" is not keys or values');
  });
});
