import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { groupNorm } from './group-norm.js';

const normalise = (shape: number[], width: number, groups: number) =>
  tracing((t) =>
    groupNorm(t.input('x', shape), t.weight('w', [width]), t.weight('b', [width]), { groups, epsilon: 1e-5 }),
  );

describe('groupNorm', () => {
  it('refuses groups that do not divide the channels', () => {
    expect(normalise([1, 2, 6], 6, 4)).toThrow(
      '[groupNorm] groups 4 does not divide 6 channels: got f32[1,2,6]',
    );
    expect(normalise([1, 2, 6], 6, 0)).toThrow('[groupNorm] groups 0 is not an integer of at least 1');
    expect(normalise([1, 2, 6], 5, 1)).toThrow('[groupNorm] C is 6 in x but 5 in weight');
    expect(normalise([6], 6, 1)).toThrow('[groupNorm] x has 1 axes, needs [B,...,C]');
  });
});
