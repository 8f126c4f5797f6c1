import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { multiply } from './multiply.js';

const combine = (a: number[], b: number[]) => tracing((t) => multiply(t.input('a', a), t.input('b', b)));

describe('multiply', () => {
  it('refuses b that does not broadcast to a; a never grows', () => {
    expect(combine([2, 3], [2])).toThrow(
      '[multiply] b [2] does not broadcast to a [2,3]: got f32[2,3], f32[2]',
    );
    expect(combine([3], [2, 3])).toThrow('[multiply] b [2,3] does not broadcast to a [3]');
    expect(combine([1, 3], [2, 3])).toThrow('[multiply] b [2,3] does not broadcast to a [1,3]');
    expect(tracing((t) => multiply(t.input('a', [2]), t.input('b', [2], 'i32')))).toThrow(
      '[multiply] a and b must be f32',
    );
  });
});
