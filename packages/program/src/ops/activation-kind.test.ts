import { describe, expect, it } from 'vitest';
import { activationDerivative, activationFunction, erf } from './activation-kind.js';

describe('erf', () => {
  // Abramowitz and Stegun, table 7.1, and the ends.
  it.each([
    [0, 0],
    [0.5, 0.5204998778],
    [1, 0.8427007929],
    [1.5, 0.9661051465],
    [2, 0.995322265],
    [2.5, 0.9995930479],
    [3, 0.9999779095],
    [7, 1],
    [-1, -0.8427007929],
    [-Infinity, -1],
  ])('of %d is %d', (x, expected) => {
    expect(erf(x)).toBeCloseTo(expected, 9);
  });

  it('joins its two forms without a step, and keeps NaN', () => {
    expect(erf(2.5) - erf(2.5 - 1e-9)).toBeCloseTo(1e-9 * (2 / Math.sqrt(Math.PI)) * Math.exp(-6.25), 13);
    expect(erf(NaN)).toBeNaN();
  });
});

describe('activationDerivative', () => {
  it.each(['none', 'gelu', 'quickGelu', 'relu', 'silu'])('of %s is its slope', (activation) => {
    const [value, slope] = [activationFunction, activationDerivative].map((of) => of('test', { activation }));
    for (const x of [-30, -4, -1.3, -0.2, 0.1, 0.7, 2, 30]) {
      const [above, below] = [value?.(x + 1e-5) ?? NaN, value?.(x - 1e-5) ?? NaN];
      expect(slope?.(x)).toBeCloseTo((above - below) / 2e-5, 8);
    }
  });
});
