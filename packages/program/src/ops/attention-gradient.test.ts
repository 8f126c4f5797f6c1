import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { trace } from '../trace.js';
import { attentionGradient } from './attention-gradient.js';

const gradients = (q: number[], k: number[], out: number[], bias?: number[]) =>
  tracing((t) => {
    const [key, value] = [t.input('k', k), t.input('v', k)];
    return attentionGradient(t.input('q', q), key, value, {
      scale: 1,
      bias: bias ? t.input('bias', bias) : null,
      out: t.input('out', out),
      dout: t.input('dout', q),
    }).dq;
  });

describe('attentionGradient', () => {
  it('refuses what attention refuses, and an output of another shape', () => {
    expect(gradients([1, 2, 4, 8], [1, 3, 3, 8], [1, 2, 4, 8])).toThrow(
      '[attentionGradient] 4 query heads are not a multiple of 3 key heads',
    );
    expect(gradients([1, 2, 4, 8], [1, 3, 4, 8], [1, 2, 4, 6])).toThrow(
      '[attentionGradient] K is 8 in q but 6 in out',
    );
  });

  it('has a gradient of the bias where there is a bias', () => {
    const outputs = (withBias: boolean) => {
      const found: (string | undefined)[] = [];
      trace('outputs', (t) => {
        const [q, k] = [t.input('q', [2, 3, 4, 8]), t.input('k', [2, 5, 2, 8])];
        const bias = withBias ? t.input('bias', [4, 3, 5]) : null;
        const { dq, dk, dv, dbias } = attentionGradient(q, k, k, { scale: 1, bias, out: q, dout: q });
        found.push(...[dq, dk, dv, dbias].map((value) => value?.shape.join('x')));
        t.output('dq', dq);
      });
      return found;
    };
    expect(outputs(true)).toEqual(['2x3x4x8', '2x5x2x8', '2x5x2x8', '4x3x5']);
    expect(outputs(false)).toEqual(['2x3x4x8', '2x5x2x8', '2x5x2x8', undefined]);
  });
});
