import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { cast } from './cast.js';

describe('cast', () => {
  it('keeps NaN and turns what is too large into infinity', async () => {
    const y = await evaluate((t) => cast(t.input('x', [3]), 'bf16'), {
      x: Float32Array.of(NaN, 3.4e38, -3.4e38),
    });
    expect([...y]).toEqual([0x7fc0, 0x7f80, 0xff80]);
  });

  it('refuses integers and types that programs do not compute with', () => {
    expect(tracing((t) => cast(t.input('x', [2], 'i32'), 'f32'))).toThrow(
      '[cast] x is i32, needs f32 or bf16',
    );
    expect(tracing((t) => cast(t.input('x', [2]), 'f16' as 'f32'))).toThrow(
      '[cast] dtype "f16" is not f32 or bf16',
    );
  });
});
