import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { activation } from './activation.js';

describe('activation', () => {
  it('refuses unknown functions and integers', () => {
    expect(tracing((t) => activation(t.input('x', [2]), 'toString' as 'relu'))).toThrow(
      '[activation] activation "toString" is not one of none, gelu, quickGelu, relu, silu',
    );
    expect(tracing((t) => activation(t.input('x', [2], 'i32'), 'relu'))).toThrow(
      '[activation] x is i32, needs f32: got i32[2]',
    );
  });
});
