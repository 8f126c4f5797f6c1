import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { groupNormGradient } from './group-norm-gradient.js';
import { layerNormGradient } from './layer-norm-gradient.js';
import { rmsNormGradient } from './rms-norm-gradient.js';

describe('the gradients of the norms', () => {
  it('refuse a gradient of another shape, with both numbers', () => {
    const options = { epsilon: 1e-5 };
    expect(
      tracing(
        (t) => layerNormGradient(t.input('x', [2, 4]), t.input('w', [4]), t.input('dy', [2, 5]), options).dx,
      ),
    ).toThrow('[layerNormGradient] D is 4 in x but 5 in dy');
    expect(
      tracing(
        (t) => rmsNormGradient(t.input('x', [2, 4]), t.input('w', [4]), t.input('dy', [3, 4]), options).dx,
      ),
    ).toThrow('[rmsNormGradient] axes [2] of x are not [3] of dy');
  });

  it('refuse groups that do not divide the channels, and a negative epsilon', () => {
    const gradient = (groups: number, epsilon: number) =>
      tracing((t) => {
        const [x, w] = [t.input('x', [1, 2, 8]), t.input('w', [8])];
        return groupNormGradient(x, w, w, x, { groups, epsilon }).dx;
      });
    expect(gradient(3, 0)).toThrow('[groupNormGradient] groups 3 does not divide 8 channels');
    expect(gradient(2, -1)).toThrow('[groupNormGradient] epsilon -1 is not a number of at least 0');
  });
});
