import { describe, expect, it } from 'vitest';

import { allAborted } from './all-aborted.js';

function controllers(count: number): readonly AbortController[] {
  return Array.from({ length: count }, () => new AbortController());
}

describe('allAborted', () => {
  it.each([
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ])('fires with the last of them, in the order %d %d %d', (...order) => {
    const each = controllers(3);
    const { signal } = allAborted(each.map((controller) => controller.signal));
    for (const index of order) {
      expect(signal.aborted).toBe(false);
      each[index]?.abort(`reason ${index}`);
    }
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBe('reason 0');
  });

  it('never fires while one is absent, and at once where all had fired or none is given', () => {
    const fired = AbortSignal.abort();
    expect(allAborted([fired, undefined]).signal.aborted).toBe(false);
    expect(allAborted([fired, fired]).signal.aborted).toBe(true);
    expect(allAborted([]).signal.aborted).toBe(true);
  });

  it('does not fire when it has been released', () => {
    const [first, second] = controllers(2) as [AbortController, AbortController];
    const all = allAborted([first.signal, second.signal]);
    first.abort();
    all.release();
    second.abort();
    expect(all.signal.aborted).toBe(false);
  });
});
