import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import type { Value } from '../trace.js';
import { convolution } from './convolution.js';
import {
  convolutionGradientWeight,
  type ConvolutionGradientWeightOptions,
} from './convolution-gradient-weight.js';

const gather = (x: number[], dy: number[], options: ConvolutionGradientWeightOptions) =>
  tracing((t) => convolutionGradientWeight(t.input('x', x), t.input('dy', dy), options));

describe('convolutionGradientWeight', () => {
  it('refuses a picture that does not give dy, kernels of no side, and precisions it does not know', () => {
    expect(gather([1, 4, 4, 3], [1, 4, 4, 8], { kernelHeight: 3, kernelWidth: 3 })).toThrow(
      '[convolutionGradientWeight] a picture 4x4 gives 2x2, dy has 4x4: got f32[1,4,4,3], f32[1,4,4,8]',
    );
    expect(gather([2, 4, 4, 3], [1, 4, 4, 8], { kernelHeight: 1, kernelWidth: 1 })).toThrow(
      '[convolutionGradientWeight] B is 2 in x but 1 in dy',
    );
    expect(gather([1, 4, 4, 3], [1, 4, 4, 8], { kernelHeight: 0, kernelWidth: 3 })).toThrow(
      '[convolutionGradientWeight] kernelHeight 0 is not an integer of at least 1',
    );
    const odd = tracing((t) => {
      const attributes = {
        stride: 1,
        padding: [0, 0, 0, 0],
        kernelHeight: 1,
        kernelWidth: 1,
        precision: 'f64',
      };
      const inputs = [t.input('x', [1, 1, 1, 1]), t.input('dy', [1, 1, 1, 1])];
      return t.call('convolutionGradientWeight', inputs, attributes)[0] as Value;
    });
    expect(odd).toThrow('[convolutionGradientWeight] precision "f64" is not one of f32, bf16');
  });

  it('is the derivative of <dy, conv(x)> by the weight, which is linear', async () => {
    const small = (count: number, step: number) =>
      Float32Array.from({ length: count }, (_, i) => ((i * step) % 11) - 5);
    const [picture, kernel, out] = [
      [2, 5, 6, 3],
      [4, 3, 3, 2],
      [2, 2, 3, 4],
    ];
    const options = { stride: 2, padding: [1, 0, 0, 1] as const };
    const inputs = { x: small(180, 7), w: small(72, 5), dy: small(48, 3) };
    const y = await evaluate((t) => convolution(t.input('x', picture), t.input('w', kernel), options), {
      x: inputs.x,
      w: inputs.w,
    });
    const dw = await evaluate(
      (t) =>
        convolutionGradientWeight(t.input('x', picture), t.input('dy', out), {
          ...options,
          kernelHeight: 3,
          kernelWidth: 2,
        }),
      { x: inputs.x, dy: inputs.dy },
    );
    const inner = (a: ArrayLike<unknown>, b: ArrayLike<unknown>) =>
      Array.from(a).reduce<number>((sum, value, i) => sum + Number(value) * Number(b[i]), 0);
    expect(inner(dw, inputs.w)).toBe(inner(y, inputs.dy));
  });
});
