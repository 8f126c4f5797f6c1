import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { fill } from './fill.js';

describe('fill', () => {
  it('refuses values that f32 does not hold and sides that are no sizes', () => {
    expect(tracing((t) => fill(t, [2], 1e39))).toThrow('[fill] value 1e+39 is not a 32-bit float');
    expect(tracing((t) => fill(t, [2], NaN))).toThrow('[fill] value NaN is not a finite number');
    expect(tracing((t) => fill(t, [1.5], 0))).toThrow('[fill] shape [1.5] is not a list of sides');
  });
});
