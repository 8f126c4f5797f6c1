import { describe, expect, it } from 'vitest';

import { bootstrap, proportion, proportions, seededIndices } from './estimate.js';

describe('proportion', () => {
  it("has Wilson's interval", () => {
    // Newcombe 1998, table I: 81 of 263.
    const outcomes = Array.from({ length: 263 }, (_, index) => index < 81);
    const { value, low, high } = proportion(outcomes);
    expect(value).toBeCloseTo(81 / 263, 12);
    expect(low).toBeCloseTo(0.2553, 4);
    expect(high).toBeCloseTo(0.3662, 4);
  });

  it('stays within 0 and 1 where all or none are right', () => {
    expect(proportion([true, true]).high).toBe(1);
    expect(proportion([false]).low).toBe(0);
    expect(proportion([])).toEqual({ value: 0, low: null, high: null, count: 0 });
  });

  it('is taken of each group', () => {
    const groups = proportions([
      { group: 'shape', isRight: true },
      { group: 'color', isRight: false },
      { group: 'shape', isRight: false },
    ]);
    expect(Object.keys(groups)).toEqual(['color', 'shape']);
    expect(groups['shape']).toMatchObject({ value: 0.5, count: 2 });
  });
});

describe('bootstrap', () => {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

  it('has the interval of a mean, the same each time', () => {
    const samples = Array.from({ length: 400 }, (_, index) => 10 + (index % 5));
    const { value, low, high } = bootstrap(samples, mean);
    // 1.96 standard errors of the mean: 1.96 * sqrt(2 / 400)
    expect(value).toBe(12);
    expect(12 - (low ?? 0)).toBeCloseTo(0.1386, 1);
    expect((high ?? 0) - 12).toBeCloseTo(0.1386, 1);
    expect(bootstrap(samples, mean)).toEqual({ value, low, high, count: 400 });
  });

  it('says nothing of two samples', () => {
    expect(bootstrap([1, 2], mean)).toEqual({ value: 1.5, low: null, high: null, count: 2 });
  });
});

describe('seededIndices', () => {
  it('reaches every index about equally often', () => {
    const index = seededIndices(7);
    const counts = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 10_000; draw++) {
      const at = index(10);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1150);
  });
});
