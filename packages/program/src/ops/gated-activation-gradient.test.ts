import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { activationGradient } from './activation-gradient.js';
import type { ActivationKind } from './activation-kind.js';
import { gatedActivationGradient } from './gated-activation-gradient.js';

describe('gradients of activations', () => {
  it('refuse shapes that differ and activations that nobody knows', () => {
    expect(tracing((t) => activationGradient(t.input('x', [2]), t.input('dy', [3]), 'silu'))).toThrow(
      '[activationGradient] axes [2] of x are not [3] of dy',
    );
    expect(
      tracing((t) => {
        const [gate, up, dy] = [t.input('gate', [2]), t.input('up', [2]), t.input('dy', [2, 1])];
        return gatedActivationGradient(gate, up, dy, 'silu').gate;
      }),
    ).toThrow('[gatedActivationGradient] axes [2] of gate are not [2,1] of dy');
    expect(
      tracing((t) => activationGradient(t.input('x', [2]), t.input('dy', [2]), 'tanh' as ActivationKind)),
    ).toThrow('[activationGradient] activation "tanh" is not one of none, gelu');
  });
});
