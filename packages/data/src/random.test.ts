import { describe, expect, it } from 'vitest';
import { philox, Random } from './random.js';

describe('philox', () => {
  // The known answers of the authors' Random123 library for philox4x32-10.
  it('agrees with the known answers', () => {
    expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const ones = 0xffffffff;
    expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ]);
    expect(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
      0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
    ]);
  });
});

describe('Random', () => {
  const draws = (seed: number, index: number, name: string): number[] => {
    const random = new Random(seed, index, name);
    return Array.from({ length: 6 }, () => random.unit());
  };

  it('depends on seed, index and name, also beyond 32 bits', () => {
    const base = draws(1, 2, 'a');
    expect(draws(1, 2, 'a')).toEqual(base);
    for (const other of [
      draws(2, 2, 'a'),
      draws(1 + 2 ** 32, 2, 'a'),
      draws(1, 2 + 2 ** 32, 'a'),
      draws(1, 2, 'b'),
    ]) {
      expect(other).not.toEqual(base);
    }
  });

  it('draws by weight', () => {
    const random = new Random(7, 0, 'weights');
    const counts = { a: 0, b: 0, c: 0 };
    for (let draw = 0; draw < 4000; draw++) counts[random.weighted({ a: 1, b: 3, c: 0 })]++;
    expect(counts.c).toBe(0);
    expect(counts.a / 4000).toBeCloseTo(0.25, 1);
  });

  it('refuses to pick from nothing', () => {
    expect(() => new Random(0, 0, '').pick([])).toThrow('[random] cannot pick from an empty list');
  });
});
