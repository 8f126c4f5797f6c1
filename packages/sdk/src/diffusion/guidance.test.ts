import { describe, expect, it } from 'vitest';

import { classifierFreeGuidance } from './guidance.js';

describe('classifierFreeGuidance', () => {
  it('takes the conditional row first', () => {
    // conditional [1, 2], unconditional [3, 6]: 3 + 7.5 * (1 - 3) = -12
    expect(Array.from(classifierFreeGuidance(Float32Array.from([1, 2, 3, 6]), 7.5))).toEqual([-12, -24]);
  });

  it('is the unconditional row at 0', () => {
    expect(Array.from(classifierFreeGuidance(Float32Array.from([1, 2, 3, 6]), 0))).toEqual([3, 6]);
  });

  it('rounds after every operation, as f32 does', () => {
    const [conditional, unconditional] = [Math.fround(0.1), Math.fround(0.7)];
    const difference = Math.fround(conditional - unconditional);
    const expected = Math.fround(unconditional + Math.fround(Math.fround(7.3) * difference));
    expect(classifierFreeGuidance(Float32Array.of(conditional, unconditional), 7.3)[0]).toBe(expected);
  });

  it('refuses half rows and a scale that is no number', () => {
    expect(() => classifierFreeGuidance(new Float32Array(3), 1)).toThrow(
      '[guidance] 3 elements are not two rows [conditional, unconditional]',
    );
    expect(() => classifierFreeGuidance(new Float32Array(2), NaN)).toThrow(
      '[guidance] guidanceScale must be finite, got NaN',
    );
  });
});
