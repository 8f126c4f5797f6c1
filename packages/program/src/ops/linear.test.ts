import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { linear } from './linear.js';

describe('linear', () => {
  it('refuses widths, biases and residuals that do not fit, with both numbers', () => {
    expect(tracing((t) => linear(t.input('x', [2, 4]), t.weight('w', [2, 3])))).toThrow(
      '[linear] I is 4 in x but 3 in weight: got f32[2,4], f32[2,3], _, _',
    );
    expect(
      tracing((t) => linear(t.input('x', [2, 3]), t.weight('w', [5, 3]), { bias: t.weight('b', [4]) })),
    ).toThrow('[linear] O is 5 in weight but 4 in bias');
    expect(
      tracing((t) => linear(t.input('x', [2, 3]), t.weight('w', [5, 3]), { residual: t.input('r', [3, 5]) })),
    ).toThrow('[linear] axes [2] of x are not [3] of residual');
    expect(tracing((t) => linear(t.input('x', [3]), t.weight('w', [3])))).toThrow(
      '[linear] weight has 1 axes, needs [O,I]',
    );
    expect(tracing((t) => linear(t.input('x', [3], 'bf16'), t.weight('w', [2, 3])))).toThrow(
      '[linear] x is bf16, needs f32',
    );
    expect(tracing((t) => linear(t.input('x', [3]), t.weight('w', [2, 3], 'f16')))).toThrow(
      '[linear] weight is f16, needs f32 or bf16',
    );
  });

  it('refuses an unknown activation and a wrong number of inputs', () => {
    const x = tracing((t) =>
      linear(t.input('x', [3]), t.weight('w', [2, 3]), { activation: 'tanh' as unknown as 'relu' }),
    );
    expect(x).toThrow('[linear] activation "tanh" is not one of none, gelu, quickGelu, relu, silu');
    const few = tracing((t) => t.call('linear', [t.input('x', [3])], { activation: 'none' })[0] as never);
    expect(few).toThrow('[linear] takes 4 inputs (x, weight, bias?, residual?), got 1: got f32[3]');
    const none = tracing(
      (t) => t.call('linear', [t.input('x', [3]), null, null, null], { activation: 'none' })[0] as never,
    );
    expect(none).toThrow('[linear] input 1 (weight) is missing: got f32[3], _, _, _');
  });

  it('takes a weight that is an ordinary value, and rounds x when that weight is bf16', async () => {
    const x = Float32Array.of(1 + 2 ** -9, 1);
    const inputs = { x, w: Uint16Array.of(0x3f80, 0x3f80) };
    const y = await evaluate((t) => linear(t.input('x', [2]), t.input('w', [1, 2], 'bf16')), inputs);
    expect([...y]).toEqual([2]);
  });
});
