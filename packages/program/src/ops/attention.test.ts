import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import type { Value } from '../trace.js';
import { attention } from './attention.js';

const attend = (q: number[], k: number[], v: number[], bias?: number[]) =>
  tracing((t) =>
    attention(t.input('q', q), t.input('k', k), t.input('v', v), {
      scale: 1,
      bias: bias ? t.input('bias', bias) : null,
    }),
  );

describe('attention', () => {
  it('refuses heads and sides that do not fit, with both numbers', () => {
    expect(attend([1, 2, 4, 8], [1, 3, 3, 8], [1, 3, 3, 8])).toThrow(
      '[attention] 4 query heads are not a multiple of 3 key heads: got f32[1,2,4,8], f32[1,3,3,8]',
    );
    expect(attend([1, 2, 4, 8], [1, 3, 0, 8], [1, 3, 0, 8])).toThrow('not a multiple of 0 key heads');
    expect(attend([1, 2, 4, 8], [1, 3, 4, 6], [1, 3, 4, 8])).toThrow('[attention] K is 8 in q but 6 in k');
    expect(attend([1, 2, 4, 8], [1, 3, 4, 8], [1, 5, 4, 8])).toThrow('[attention] S is 3 in k but 5 in v');
    expect(attend([1, 2, 4, 8], [1, 3, 4, 8], [1, 3, 4, 8], [4, 3, 3])).toThrow(
      '[attention] T is 2 in q but 3 in bias',
    );
    expect(attend([2, 4, 8], [1, 3, 4, 8], [1, 3, 4, 8])).toThrow(
      '[attention] q has 3 axes, needs [B,T,H,K]',
    );
  });

  it('refuses a scale that is no number and a causal flag that is no flag', () => {
    const call = (scale: number, causal: number) =>
      tracing((t) => {
        const x = t.input('x', [1, 1, 1, 1]);
        return t.call('attention', [x, x, x, null], { scale, causal })[0] as never;
      });
    expect(call(Infinity, 0)).toThrow('[attention] scale Infinity is not a finite number');
    expect(call(1, 2)).toThrow('[attention] causal 2 is not 0 or 1');
  });

  it('shows a NaN among the scores instead of hiding it', async () => {
    const y = await evaluate(
      (t) =>
        attention(t.input('q', [1, 1, 1, 1]), t.input('k', [1, 2, 1, 1]), t.input('v', [1, 2, 1, 1]), {
          scale: 1,
        }),
      { q: Float32Array.of(1), k: Float32Array.of(NaN, 2), v: Float32Array.of(3, 4) },
    );
    expect([...y]).toEqual([NaN]);
  });

  it('gives zeros where a bias hides every key', async () => {
    const y = await evaluate(
      (t) =>
        attention(t.input('q', [1, 1, 1, 1]), t.input('k', [1, 2, 1, 1]), t.input('v', [1, 2, 1, 1]), {
          scale: 1,
          bias: t.input('bias', [1, 1, 2]),
        }),
      {
        q: Float32Array.of(1),
        k: Float32Array.of(1, 2),
        v: Float32Array.of(3, 4),
        bias: Float32Array.of(-Infinity, -Infinity),
      },
    );
    expect([...y]).toEqual([0]);
  });

  it('keeps packed sequences apart', async () => {
    const [T, firstKey] = [5, Int32Array.of(0, 0, 2, 2, 2)];
    const [q, k, v] = [1, 2, 3].map((seed) =>
      Float32Array.from({ length: T }, (_, i) => Math.sin(seed * 7 + i)),
    ) as [Float32Array, Float32Array, Float32Array];
    const alone = (begin: number, end: number) => {
      const [length, part] = [end - begin, (data: Float32Array) => data.slice(begin, end)];
      const shape = [1, length, 1, 1];
      return evaluate(
        (t) =>
          attention(t.input('q', shape), t.input('k', shape), t.input('v', shape), {
            scale: 2,
            causal: true,
          }),
        { q: part(q), k: part(k), v: part(v) },
      );
    };
    const packed = (first: Int32Array) =>
      evaluate(
        (t) => {
          const [a, b, c] = ['q', 'k', 'v'].map((name) => t.input(name, [1, T, 1, 1])) as [
            Value,
            Value,
            Value,
          ];
          return attention(a, b, c, { scale: 2, causal: true, firstKey: t.input('firstKey', [1, T], 'i32') });
        },
        { q, k, v, firstKey: first },
      );
    expect([...(await packed(firstKey))]).toEqual([...(await alone(0, 2)), ...(await alone(2, 5))]);
    await expect(packed(Int32Array.of(0, 0, 6, 0, 0))).rejects.toThrow(
      '[attention] firstKey 6 at row 2 is not in 0..5',
    );
  });
});
