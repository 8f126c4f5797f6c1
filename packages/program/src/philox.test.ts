import { describe, expect, it } from 'vitest';

import { EmuError } from './errors.js';
import { Philox, philoxBlock } from './philox.js';

function hex(words: readonly number[]): string {
  return words.map((word) => word.toString(16).padStart(8, '0')).join(' ');
}

describe('philoxBlock', () => {
  // The known-answer vectors of the Random123 distribution.
  it('gives the published answers', () => {
    expect(hex(philoxBlock([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(hex(philoxBlock([ones, ones, ones, ones], [ones, ones]))).toBe(
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    );
    expect(hex(philoxBlock([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    );
  });
});

describe('Philox', () => {
  it('starts with block 0 of the seed and goes on with block 1', () => {
    const random = new Philox(0);
    const words = Array.from({ length: 8 }, () => random.nextUint32());
    expect(hex(words.slice(0, 4))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    expect(words.slice(4)).toEqual(philoxBlock([1, 0, 0, 0], [0, 0]));
  });

  it('uses all 64 bits of the seed and the stream', () => {
    const seed = 0x123456789abcdef0n;
    expect(new Philox(seed, 7).nextUint32()).toBe(philoxBlock([0, 0, 7, 0], [0x9abcdef0, 0x12345678])[0]);
    expect(new Philox(2n ** 64n - 1n).nextUint32()).toBe(
      philoxBlock([0, 0, 0, 0], [0xffffffff, 0xffffffff])[0],
    );
  });

  it('treats a number and the same bigint alike', () => {
    expect(new Philox(41).nextUint32()).toBe(new Philox(41n).nextUint32());
  });

  it('gives floats in [0, 1) that are exact in f32, with mean 1/2 and variance 1/12', () => {
    const random = new Philox(3);
    let sum = 0;
    let squares = 0;
    let inRange = 0;
    const count = 100_000;
    for (let i = 0; i < count; i++) {
      const value = random.nextFloat();
      if (value >= 0 && value < 1 && Math.fround(value) === value) inRange += 1;
      sum += value;
      squares += value * value;
    }
    const mean = sum / count;
    expect(inRange).toBe(count);
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / count));
    expect(Math.abs(squares / count - mean * mean - 1 / 12)).toBeLessThan(0.002);
  });

  it('gives unit normals: moments and tail within five standard errors', () => {
    const random = new Philox(11);
    const count = 200_000;
    let [sum, squares, fourth, beyond2] = [0, 0, 0, 0];
    for (let i = 0; i < count; i++) {
      const value = random.nextNormal();
      sum += value;
      squares += value * value;
      fourth += value ** 4;
      if (Math.abs(value) > 2) beyond2 += 1;
    }
    expect(Math.abs(sum / count)).toBeLessThan(5 / Math.sqrt(count));
    expect(Math.abs(squares / count - 1)).toBeLessThan(5 * Math.sqrt(2 / count));
    expect(Math.abs(fourth / count - 3)).toBeLessThan(5 * Math.sqrt(96 / count));
    expect(Math.abs(beyond2 / count - 0.0455)).toBeLessThan(5 * Math.sqrt(0.0455 / count));
  });

  it('pairs normals by Box and Muller in the documented order', () => {
    const words = philoxBlock([0, 0, 0, 0], [5, 0]);
    const radius = Math.sqrt(-2 * Math.log((words[0] + 1) / 2 ** 32));
    const angle = (2 * Math.PI * words[1]) / 2 ** 32;
    const random = new Philox(5);
    expect(random.nextNormal()).toBeCloseTo(radius * Math.cos(angle), 12);
    expect(random.nextNormal()).toBeCloseTo(radius * Math.sin(angle), 12);
  });

  it('refuses seeds and streams it cannot hold, naming them', () => {
    expect(() => new Philox(-1)).toThrow('[philox] seed must be in 0..2^64-1, got -1');
    expect(() => new Philox(2n ** 64n)).toThrow('got 18446744073709551616');
    expect(() => new Philox(1.5)).toThrow('got 1.5');
    expect(() => new Philox(NaN)).toThrow('got NaN');
    expect(() => new Philox(1, -1)).toThrow('[philox] stream must be an integer in 0..2^32-1, got -1');
    try {
      new Philox(Infinity);
      expect.unreachable();
    } catch (error) {
      expect(EmuError.isInstance(error) && error.code).toBe('INVALID_OPTION');
    }
  });
});
