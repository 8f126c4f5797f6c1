import { f16ToNumber } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { numberToF16 } from './half.js';

describe('numberToF16', () => {
  it('gives back every finite half', () => {
    for (let half = 0; half < 0x10000; half++) {
      if ((half & 0x7c00) === 0x7c00) continue;
      expect(numberToF16(f16ToNumber(half))).toBe(half);
    }
  });

  it('rounds half-way cases to even', () => {
    for (let half = 0; half < 0x7bff; half++) {
      const middle = (f16ToNumber(half) + f16ToNumber(half + 1)) / 2;
      expect(numberToF16(middle)).toBe(half % 2 === 0 ? half : half + 1);
    }
  });

  it('keeps NaN and infinities, and overflows to infinity', () => {
    expect(numberToF16(Infinity)).toBe(0x7c00);
    expect(numberToF16(-Infinity)).toBe(0xfc00);
    expect(f16ToNumber(numberToF16(NaN))).toBeNaN();
    expect(numberToF16(65_520)).toBe(0x7c00);
    expect(numberToF16(65_519)).toBe(0x7bff);
  });
});
