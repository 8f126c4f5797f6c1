import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { cachePageCopy } from './cache-page-copy.js';

const copy = (from: number, to: number) =>
  evaluate(
    (t) =>
      cachePageCopy(t.state('cache', [3, 1, 1, 1]), {
        from: t.input('from', [1], 'i32'),
        to: t.input('to', [1], 'i32'),
      }),
    { from: Int32Array.of(from), to: Int32Array.of(to) },
  );

describe('cachePageCopy', () => {
  it('refuses pages that are not there, and does not look at the target of a copy left out', async () => {
    await expect(copy(3, 0)).rejects.toThrow('[cachePageCopy] from 3 at row 0 is not in -1..2');
    await expect(copy(0, -1)).rejects.toThrow('[cachePageCopy] to -1 at row 0 is not in 0..2');
    expect([...(await copy(-1, 99))]).toEqual([0, 0, 0]);
  });

  it('refuses lists of two lengths', () => {
    const build = tracing((t) =>
      cachePageCopy(t.state('cache', [3, 1, 1, 1]), {
        from: t.input('from', [2], 'i32'),
        to: t.input('to', [1], 'i32'),
      }),
    );
    expect(build).toThrow('[cachePageCopy] N is 2 in from but 1 in to');
  });
});
