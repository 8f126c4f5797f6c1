import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { concat } from './concat.js';

describe('concat', () => {
  const join = (axis: number, ...shapes: number[][]) =>
    tracing((t) =>
      concat(
        shapes.map((shape, i) => t.input(`x${i}`, shape)),
        axis,
      ),
    );

  it('refuses other sides, other ranks and axes that are not there', () => {
    expect(join(0, [2, 3], [2, 4])).toThrow('[concat] input 1 [2,4] differs from [2,3] beyond axis 0');
    expect(join(0, [2, 3], [2])).toThrow('[concat] input 1 [2] differs from [2,3] beyond axis 0');
    expect(join(2, [2, 3], [2, 3])).toThrow('[concat] axis 2 is not an axis of f32[2,3]');
    expect(join(-3, [2, 3], [2, 3])).toThrow('[concat] axis -3 is not an axis of f32[2,3]');
    expect(() => concat([], 0)).toThrow('[concat] needs at least 1 value, got 0');
  });

  it('counts a negative axis from the end', () => {
    expect(join(-1, [2, 3], [2, 4])).not.toThrow();
  });
});
