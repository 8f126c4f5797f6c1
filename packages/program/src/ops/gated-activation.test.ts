import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { gatedActivation } from './gated-activation.js';

describe('gatedActivation', () => {
  it('refuses two shapes and unknown functions', () => {
    const gated = (gate: number[], up: number[], kind = 'silu') =>
      tracing((t) => gatedActivation(t.input('gate', gate), t.input('up', up), kind as 'silu'));
    expect(gated([2, 3], [2, 4])).toThrow('[gatedActivation] F is 3 in gate but 4 in up');
    expect(gated([2, 3], [1, 3])).toThrow('[gatedActivation] axes [2] of gate are not [1] of up');
    expect(gated([3], [3], 'tanh')).toThrow('[gatedActivation] activation "tanh" is not one of');
  });
});
