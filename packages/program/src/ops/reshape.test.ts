import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { trace } from '../trace.js';
import { reshape } from './reshape.js';

const shaped = (from: number[], to: number[]) => tracing((t) => reshape(t.input('x', from), to));

describe('reshape', () => {
  it('refuses another number of elements', () => {
    expect(shaped([2, 3], [4])).toThrow('[reshape] shape [4] has 4 elements, x has 6: got f32[2,3]');
    expect(shaped([2, 3], [-1, 4])).toThrow(
      '[reshape] shape [-1,4] is not a list of sides that 6 elements fill',
    );
    expect(shaped([2, 3], [-1, -1])).toThrow('[reshape] shape [-1,-1] is not a list of sides');
    expect(shaped([0], [-1, 0])).toThrow('[reshape] shape [-1,0] is not a list of sides');
  });

  it('finds the one open side and keeps the dtype', async () => {
    const program = trace('p', (t) => {
      t.output('y', reshape(t.input('x', [2, 3], 'i32'), [3, -1]));
    });
    expect(program.calls[0]?.attributes).toEqual({ shape: [3, 2] });
    const y = await evaluate((t) => reshape(t.input('x', [2, 1], 'i32'), [2]), { x: Int32Array.of(7, 8) });
    expect(y).toEqual(Int32Array.of(7, 8));
  });
});
