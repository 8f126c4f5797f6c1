import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { accumulateMatmul } from './accumulate-matmul.js';

describe('accumulateMatmul', () => {
  it('refuses a product of another shape, sides that do not meet, and what is no state', () => {
    expect(
      tracing((t) => accumulateMatmul(t.state('s', [3, 5]), t.input('a', [2, 3]), t.input('b', [3, 5]))),
    ).toThrow(
      '[accumulateMatmul] the product is f32[2,5], which is not like the state: got f32[3,5], f32[2,3]',
    );
    expect(
      tracing((t) => accumulateMatmul(t.state('s', [2, 5]), t.input('a', [2, 3]), t.input('b', [4, 5]))),
    ).toThrow('[accumulateMatmul] the inner side is 3 in a but 4 in b');
    expect(
      tracing((t) => accumulateMatmul(t.input('s', [2, 5]), t.input('a', [2, 3]), t.input('b', [3, 5]))),
    ).toThrow('[accumulateMatmul] input 0 %0 f32[2,5] is not a state');
  });
});
