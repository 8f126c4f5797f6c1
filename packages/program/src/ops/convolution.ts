import { refuseShape, type OpDefinition } from '../op.js';
import { sameShape, toFloat32, type Shape, type Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { activationFunction, type ActivationKind } from './activation-kind.js';
import { allSides, outputSides, stepsOf, type Padding } from './convolution-geometry.js';
import { inputSignature } from './signature.js';
import { floats, present, roundedLike } from './tensor-access.js';
import { activation } from './activation.js';
import { add } from './add.js';
import { convolutionGradientInput } from './convolution-gradient-input.js';
import { convolutionGradientWeight } from './convolution-gradient-weight.js';
import { sumTo } from './sum-to.js';

export type { Padding } from './convolution-geometry.js';

export interface ConvolutionOptions {
  readonly bias?: Value | null;
  /** Added after the activation. */
  readonly residual?: Value | null;
  /** Default 1, the same in both directions. */
  readonly stride?: number;
  /** One number pads all four sides; default 0. */
  readonly padding?: number | Padding;
  readonly activation?: ActivationKind;
}

/**
 * act(correlation of x with weight + bias) + residual, channels last.
 * x f32[B,H,W,C], weight f32|bf16[O,C,kh,kw], bias f32[O], residual f32[B,H',W',O] -> f32[B,H',W',O] with
 * H' = floor((H + top + bottom - kh) / stride) + 1. With a bf16 weight x is rounded to bf16 first; products
 * accumulate in f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if sides differ or the kernel is larger than the padded picture.
 */
export function convolution(x: Value, weight: Value, options: ConvolutionOptions = {}): Value {
  const { padding = 0, stride = 1 } = options;
  const inputs = [x, weight, options.bias ?? null, options.residual ?? null];
  const attributes = { stride, padding: allSides(padding), activation: options.activation ?? 'none' };
  return x.tracer.call('convolution', inputs, attributes)[0] as Value;
}

const bind = inputSignature<'B' | 'H' | 'W' | 'C' | 'O' | 'kh' | 'kw'>(
  'convolution',
  'x f32[B,H,W,C]',
  'weight f32|bf16[O,C,kh,kw]',
  'bias? f32[O]',
  'residual? f32[...]',
);

export const convolutionOp: OpDefinition = {
  name: 'convolution',
  infer(inputs, attributes) {
    activationFunction('convolution', attributes);
    const steps = stepsOf('convolution', attributes);
    const { B, H, W, O, kh, kw } = bind(inputs);
    const shape: Shape = [B, ...outputSides('convolution', [H, W], [kh, kw], steps, inputs), O];
    const residual = inputs[3];
    if (residual && !sameShape(residual.shape, shape)) {
      refuseShape('convolution', `residual is not [${shape.join(',')}]`, inputs);
    }
    return [{ shape, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const activate = activationFunction('convolution', attributes);
    const { stride, padding } = stepsOf('convolution', attributes);
    const [top, , left] = padding;
    const { B, H, W, C, O, kh, kw } = bind(inputs);
    const weight = present(inputs, 1);
    const [x, weights] = [roundedLike(weight, present(inputs, 0)), toFloat32(weight)];
    const [bias, residual] = [inputs[2], inputs[3]].map((input) => (input ? floats(input) : null));
    const output = outputs[0] as Tensor;
    const out = floats(output);
    const [, outputHeight, outputWidth] = output.shape as [number, number, number, number];

    const productSum = (b: number, row: number, column: number, o: number): number => {
      let sum = 0;
      for (let i = 0; i < kh; i++) {
        const y = row * stride + i - top;
        if (y < 0 || y >= H) continue;
        for (let j = 0; j < kw; j++) {
          const z = column * stride + j - left;
          if (z < 0 || z >= W) continue;
          const from = ((b * H + y) * W + z) * C;
          for (let c = 0; c < C; c++) {
            sum += (x[from + c] as number) * (weights[((o * C + c) * kh + i) * kw + j] as number);
          }
        }
      }
      return sum;
    };
    let at = 0;
    for (let b = 0; b < B; b++) {
      for (let row = 0; row < outputHeight; row++) {
        for (let column = 0; column < outputWidth; column++) {
          for (let o = 0; o < O; o++, at++) {
            const activated = activate(productSum(b, row, column, o) + (bias?.[o] ?? 0));
            out[at] = activated + (residual?.[at] ?? 0);
          }
        }
      }
    }
  },
  composed([x, weight, bias = null, residual = null], attributes) {
    const kind = attributes['activation'] as ActivationKind;
    if (kind === 'none' || !x || !weight) return null;
    const activated = activation(
      convolution(x, weight, { bias, ...stepsOf('convolution', attributes) }),
      kind,
    );
    return [residual === null ? activated : add(activated, residual)];
  },
  gradient([dy], { inputs, attributes }) {
    const [x, weight] = inputs as readonly [Value, Value];
    const steps = stepsOf('convolution', attributes);
    const dx = convolutionGradientInput(dy as Value, weight, {
      ...steps,
      height: x.side(1),
      width: x.side(2),
    });
    const dweight = convolutionGradientWeight(x, dy as Value, {
      ...steps,
      kernelHeight: weight.side(2),
      kernelWidth: weight.side(3),
      precision: weight.dtype === 'bf16' ? 'bf16' : 'f32',
    });
    return [dx, dweight, sumTo(dy as Value, [weight.side(0)]), dy as Value];
  },
  weightLayouts: { 1: 'convolution' },
};
