import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { trace, type Value } from '../trace.js';
import { matmul, matmulOp, type MatmulOptions } from './matmul.js';

const multiply = (a: number[], b: number[], options: MatmulOptions = {}) =>
  tracing((t) => matmul(t.input('a', a), t.input('b', b), options));

describe('matmul', () => {
  it('refuses factors whose inner sides differ, in every layout', () => {
    expect(multiply([2, 3], [4, 5])).toThrow(
      '[matmul] the inner side is 3 in a but 4 in b: got f32[2,3], f32[4,5]',
    );
    expect(multiply([2, 3], [3, 5], { transposeA: true })).toThrow('[matmul] the inner side is 2 in a but 3');
    expect(multiply([2, 3], [3, 5], { transposeB: true })).toThrow('[matmul] the inner side is 3 in a but 5');
    expect(multiply([2, 3, 4], [4, 5])).toThrow('[matmul] a has 3 axes, needs [P,Q]');
  });

  it('refuses flags and precisions it does not know', () => {
    const call = (attributes: Record<string, number | string>) =>
      tracing((t) => t.call('matmul', [t.input('a', [1, 1]), t.input('b', [1, 1])], attributes)[0] as Value);
    expect(call({ transposeA: 2, transposeB: 0, precision: 'f32' })).toThrow(
      '[matmul] transposeA 2 is not 0 or 1',
    );
    expect(call({ transposeA: 0, transposeB: 0, precision: 'f16' })).toThrow(
      '[matmul] precision "f16" is not one of f32, bf16',
    );
  });

  it('rounds both factors to bf16 when asked to, and only then', async () => {
    const inputs = { a: Float32Array.of(1 + 2 ** -9), b: Float32Array.of(1 + 2 ** -8 + 2 ** -9) };
    const product = (precision: 'f32' | 'bf16') =>
      evaluate((t) => matmul(t.input('a', [1, 1]), t.input('b', [1, 1]), { precision }), inputs);
    expect([...(await product('bf16'))]).toEqual([1 + 2 ** -7]);
    const [exact] = [...(await product('f32'))];
    expect(exact).toBe(Math.fround((1 + 2 ** -9) * (1 + 2 ** -8 + 2 ** -9)));
  });

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])(
    'has the gradient of central differences (transposeA %s, transposeB %s)',
    async (transposeA, transposeB) => {
      const rule = matmulOp.gradient;
      if (typeof rule !== 'function') throw new Error('matmul has a rule');
      const shapes = { a: transposeA ? [4, 3] : [3, 4], b: transposeB ? [2, 4] : [4, 2], dc: [3, 2] };
      const values = (count: number, step: number) =>
        Float32Array.from({ length: count }, (_, i) => ((i * step) % 7) - 3);
      const inputs = { a: values(12, 3), b: values(8, 5), dc: values(6, 2) };
      const product = async (a: Float32Array, b: Float32Array) =>
        evaluate((t) => matmul(t.input('a', shapes.a), t.input('b', shapes.b), { transposeA, transposeB }), {
          a,
          b,
        });
      const loss = async (a: Float32Array, b: Float32Array) =>
        [...(await product(a, b))].reduce<number>((sum, y, i) => sum + Number(y) * (inputs.dc[i] ?? 0), 0);
      for (const [index, name] of (['a', 'b'] as const).entries()) {
        const gradient = await evaluate((t) => {
          const [a, b, dc] = [t.input('a', shapes.a), t.input('b', shapes.b), t.input('dc', shapes.dc)];
          const y = matmul(a, b, { transposeA, transposeB });
          const attributes = {
            transposeA: Number(transposeA),
            transposeB: Number(transposeB),
            precision: 'f32',
          };
          return rule([dc], { inputs: [a, b], outputs: [y], attributes })[index] as Value;
        }, inputs);
        expect(gradient).toHaveLength(inputs[name].length);
        for (let at = 0; at < gradient.length; at++) {
          const moved = (by: number) => {
            const changed = { a: inputs.a.slice(), b: inputs.b.slice() };
            changed[name][at] = (changed[name][at] ?? 0) + by;
            return loss(changed.a, changed.b);
          };
          expect(gradient[at]).toBe(((await moved(1)) - (await moved(-1))) / 2);
        }
      }
    },
  );

  it('does not ask the backend to repack a weight: gradients read it in two layouts', () => {
    const program = trace('p', (t) => {
      t.output('y', matmul(t.input('x', [1, 4]), t.weight('w', [4, 3])));
    });
    expect(program.weights[0]?.layout).toBe('plain');
    expect(program.calls[0]?.attributes).toEqual({ transposeA: 0, transposeB: 0, precision: 'f32' });
  });
});
