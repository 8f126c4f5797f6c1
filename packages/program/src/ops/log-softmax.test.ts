import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { logSoftmax } from './log-softmax.js';

describe('logSoftmax', () => {
  it('neither overflows nor loses tokens that are ruled out', async () => {
    const y = await evaluate((t) => logSoftmax(t.input('x', [3])), {
      x: Float32Array.of(1e30, 1e30, -Infinity),
    });
    expect([...y]).toEqual([Math.fround(-Math.LN2), Math.fround(-Math.LN2), -Infinity]);
  });

  it('refuses a scalar', () => {
    expect(tracing((t) => logSoftmax(t.input('x', [])))).toThrow('[logSoftmax] x has 0 axes, needs [...,V]');
  });
});
