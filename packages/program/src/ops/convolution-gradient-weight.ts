import { integerAttribute, refuseShape, type InputTypes, type OpDefinition } from '../op.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { allSides, outputSides, stepsOf, taps, type Padding } from './convolution-geometry.js';
import { precisionAttribute, roundedTo, type ProductPrecision } from './precision.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

export interface ConvolutionGradientWeightOptions {
  /** Stride of the convolution, default 1. */
  readonly stride?: number;
  /** Padding of the convolution; one number pads all four sides; default 0. */
  readonly padding?: number | Padding;
  /** Sides of the kernel: several give the same result. */
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  /** 'bf16' rounds x and dy first; the default is 'f32'. */
  readonly precision?: ProductPrecision;
}

/**
 * The gradient of `convolution` towards its weight: each place of the kernel sums dy times the pixels it met.
 * x f32[B,H,W,C], dy f32[B,H',W',O] -> f32[O,C,kernelHeight,kernelWidth]. Products accumulate in f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if x does not give dy's H' x W' under such a kernel.
 */
export function convolutionGradientWeight(
  x: Value,
  dy: Value,
  options: ConvolutionGradientWeightOptions,
): Value {
  const { stride = 1, padding = 0, kernelHeight, kernelWidth, precision = 'f32' } = options;
  const attributes = { stride, padding: allSides(padding), kernelHeight, kernelWidth, precision };
  return x.tracer.call(name, [x, dy], attributes)[0] as Value;
}

const name = 'convolutionGradientWeight';
const bind = inputSignature<'B' | 'H' | 'W' | 'C' | 'P' | 'Q' | 'O'>(
  name,
  'x f32[B,H,W,C]',
  'dy f32[B,P,Q,O]',
);

function geometry(inputs: InputTypes, attributes: Attributes) {
  const steps = stepsOf(name, attributes);
  const precision = precisionAttribute(name, attributes);
  const kernel = ['kernelHeight', 'kernelWidth'].map((side) =>
    integerAttribute(name, attributes, side, 1),
  ) as [number, number];
  const { B, H, W, C, P, Q, O } = bind(inputs);
  const [rows, columns] = outputSides(name, [H, W], kernel, steps, inputs);
  if (rows !== P || columns !== Q) {
    refuseShape(name, `a picture ${H}x${W} gives ${rows}x${columns}, dy has ${P}x${Q}`, inputs);
  }
  return { steps, precision, kernel, B, H, W, C, P, Q, O };
}

export const convolutionGradientWeightOp: OpDefinition = {
  name,
  infer(inputs, attributes) {
    const { kernel, C, O } = geometry(inputs, attributes);
    return [{ shape: [O, C, ...kernel], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const { steps, precision, kernel, B, H, W, C, P, Q, O } = geometry(inputs, attributes);
    const [x, dy] = [roundedTo(precision, present(inputs, 0)), roundedTo(precision, present(inputs, 1))];
    const out = floats(outputs[0] as Tensor);
    const sums = new Float64Array(out.length);
    const area = kernel[0] * kernel[1];
    for (const { from, place, to } of taps(B, [H, W], kernel, [P, Q], steps)) {
      for (let o = 0; o < O; o++) {
        const gradient = dy[from * O + o] as number;
        for (let c = 0; c < C; c++) {
          const at = (o * C + c) * area + place;
          sums[at] = (sums[at] as number) + gradient * (x[to * C + c] as number);
        }
      }
    }
    out.set(sums);
  },
  gradient: { because: 'itself a step of the backward pass; second derivatives are not taken' },
};
