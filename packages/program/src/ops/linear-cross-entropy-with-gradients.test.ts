import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { linearCrossEntropyWithGradients } from './linear-cross-entropy-with-gradients.js';

describe('linearCrossEntropyWithGradients', () => {
  it('refuses a state that is not like the weight', () => {
    expect(
      tracing(
        (t) =>
          linearCrossEntropyWithGradients({
            state: t.state('s', [4, 3]),
            x: t.input('x', [2, 3]),
            weight: t.input('w', [5, 3]),
            target: t.input('target', [2], 'i32'),
            dy: t.input('dy', [2]),
          }).losses,
      ),
    ).toThrow('[linearCrossEntropyWithGradients] V is 4 in state but 5 in weight');
  });
});
