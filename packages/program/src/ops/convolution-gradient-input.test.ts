import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { convolution } from './convolution.js';
import {
  convolutionGradientInput,
  type ConvolutionGradientInputOptions,
} from './convolution-gradient-input.js';

const spread = (dy: number[], kernel: number[], options: ConvolutionGradientInputOptions) =>
  tracing((t) => convolutionGradientInput(t.input('dy', dy), t.input('w', kernel), options));

describe('convolutionGradientInput', () => {
  it('refuses a picture that does not give dy, and what convolution refuses', () => {
    expect(spread([1, 4, 4, 8], [8, 3, 3, 3], { height: 5, width: 4, padding: 1 })).toThrow(
      '[convolutionGradientInput] a picture 5x4 gives 5x4, dy has 4x4: got f32[1,4,4,8], f32[8,3,3,3]',
    );
    expect(spread([1, 4, 4, 8], [7, 3, 3, 3], { height: 4, width: 4, padding: 1 })).toThrow(
      '[convolutionGradientInput] O is 8 in dy but 7 in weight',
    );
    expect(spread([1, 1, 1, 8], [8, 3, 3, 3], { height: 2, width: 4 })).toThrow(
      '[convolutionGradientInput] kernel 3x3 does not fit the padded picture 2x4',
    );
    expect(spread([1, 4, 4, 8], [8, 3, 3, 3], { height: 4.5, width: 4 })).toThrow(
      '[convolutionGradientInput] height 4.5 is not an integer of at least 0',
    );
  });

  it('is the transpose of convolution: <dy, conv(x)> = <convGradient(dy), x>', async () => {
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
    const dx = await evaluate(
      (t) =>
        convolutionGradientInput(t.input('dy', out), t.input('w', kernel), {
          ...options,
          height: 5,
          width: 6,
        }),
      { dy: inputs.dy, w: inputs.w },
    );
    const inner = (a: ArrayLike<unknown>, b: ArrayLike<unknown>) =>
      Array.from(a).reduce<number>((sum, value, i) => sum + Number(value) * Number(b[i]), 0);
    expect(y).toHaveLength(48);
    expect(inner(dx, inputs.x)).toBe(inner(y, inputs.dy));
  });
});
