import { f16ToNumber } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { numberToF16 } from './half.js';

describe('numberToF16', () => {
  it('gives back every finite half', () => {
    const finite = Array.from({ length: 0x10000 }, (_, half) => half).filter(
      (half) => (half & 0x7c00) !== 0x7c00,
    );
    expect(finite.filter((half) => numberToF16(f16ToNumber(half)) !== half)).toEqual([]);
  });

  it('rounds half-way cases to even', () => {
    const halves = Array.from({ length: 0x7bff }, (_, half) => half);
    const wrong = halves.filter((half) => {
      const middle = (f16ToNumber(half) + f16ToNumber(half + 1)) / 2;
      return numberToF16(middle) !== (half % 2 === 0 ? half : half + 1);
    });
    expect(wrong).toEqual([]);
  });

  it('keeps NaN and infinities, and overflows to infinity', () => {
    expect(numberToF16(Infinity)).toBe(0x7c00);
    expect(numberToF16(-Infinity)).toBe(0xfc00);
    expect(f16ToNumber(numberToF16(NaN))).toBeNaN();
    expect(numberToF16(65_520)).toBe(0x7c00);
    expect(numberToF16(65_519)).toBe(0x7bff);
  });
});
