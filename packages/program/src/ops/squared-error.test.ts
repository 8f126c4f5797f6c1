import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { squaredError } from './squared-error.js';

describe('squaredError', () => {
  it('refuses rows without elements and shapes that differ', () => {
    const of = (prediction: readonly number[], target: readonly number[]) =>
      tracing((t) => squaredError(t.input('p', prediction), t.input('t', target)));
    expect(of([2, 0], [2, 0])).toThrow('[squaredError] a mean needs at least one element in a row');
    expect(of([2, 3], [2, 4])).toThrow('[squaredError] D is 3 in prediction but 4 in target');
  });
});
