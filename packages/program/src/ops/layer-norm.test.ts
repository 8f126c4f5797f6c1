import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { layerNorm } from './layer-norm.js';

const normalise = (shape: number[], width: number, epsilon: number) =>
  tracing((t) => layerNorm(t.input('x', shape), t.weight('w', [width]), t.weight('b', [width]), { epsilon }));

describe('layerNorm', () => {
  it('refuses a weight of another width, a scalar and an epsilon that is no small number', () => {
    expect(normalise([2, 4], 3, 1e-5)).toThrow(
      '[layerNorm] D is 4 in x but 3 in weight: got f32[2,4], f32[3]',
    );
    expect(normalise([], 1, 1e-5)).toThrow('[layerNorm] x has 0 axes, needs [...,D]');
    expect(normalise([4], 4, -1)).toThrow('[layerNorm] epsilon -1 is not a number of at least 0');
    expect(normalise([4], 4, NaN)).toThrow('[layerNorm] epsilon NaN is not a finite number');
  });
});
