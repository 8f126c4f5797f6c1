import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { sumTo } from './sum-to.js';

describe('sumTo', () => {
  it('refuses shapes that do not broadcast to x', () => {
    const to = (shape: readonly number[]) => tracing((t) => sumTo(t.input('x', [2, 3]), shape));
    expect(to([2])).toThrow('[sumTo] [2] does not broadcast to x [2,3]: got f32[2,3]');
    expect(to([1, 2, 3])).toThrow('[sumTo] [1,2,3] does not broadcast to x [2,3]');
    expect(to([-1, 3])).toThrow('[sumTo] shape [-1,3] is not a list of sides');
  });
});
