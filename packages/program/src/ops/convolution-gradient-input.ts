import { integerAttribute, refuseShape, type InputTypes, type OpDefinition } from '../op.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { allSides, outputSides, stepsOf, taps, type Padding } from './convolution-geometry.js';
import { roundedTo } from './precision.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

export interface ConvolutionGradientInputOptions {
  /** Stride of the convolution, default 1. */
  readonly stride?: number;
  /** Padding of the convolution; one number pads all four sides; default 0. */
  readonly padding?: number | Padding;
  /** Sides of the picture that was convolved: several give the same result. */
  readonly height: number;
  readonly width: number;
}

/**
 * The gradient of `convolution` towards its picture: every pixel of dy is spread through the kernel.
 * dy f32[B,H',W',O], weight f32|bf16[O,C,kh,kw] -> f32[B,height,width,C]. With a bf16 weight dy is rounded to
 * bf16 first; products accumulate in f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if a picture of height x width does not give dy's H' x W'.
 */
export function convolutionGradientInput(
  dy: Value,
  weight: Value,
  options: ConvolutionGradientInputOptions,
): Value {
  const { stride = 1, padding = 0, height, width } = options;
  const attributes = { stride, padding: allSides(padding), height, width };
  return dy.tracer.call(name, [dy, weight], attributes)[0] as Value;
}

const name = 'convolutionGradientInput';
const bind = inputSignature<'B' | 'H' | 'W' | 'O' | 'C' | 'kh' | 'kw'>(
  name,
  'dy f32[B,H,W,O]',
  'weight f32|bf16[O,C,kh,kw]',
);

function geometry(inputs: InputTypes, attributes: Attributes) {
  const steps = stepsOf(name, attributes);
  const picture = ['height', 'width'].map((side) => integerAttribute(name, attributes, side, 0)) as [
    number,
    number,
  ];
  const { B, H, W, O, C, kh, kw } = bind(inputs);
  const [rows, columns] = outputSides(name, picture, [kh, kw], steps, inputs);
  if (rows !== H || columns !== W) {
    refuseShape(name, `a picture ${picture.join('x')} gives ${rows}x${columns}, dy has ${H}x${W}`, inputs);
  }
  return { steps, picture, B, H, W, O, C, kh, kw };
}

export const convolutionGradientInputOp: OpDefinition = {
  name,
  infer(inputs, attributes) {
    const { picture, B, C } = geometry(inputs, attributes);
    return [{ shape: [B, ...picture, C], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const { steps, picture, B, H, W, O, C, kh, kw } = geometry(inputs, attributes);
    const weight = present(inputs, 1);
    const precision = weight.dtype === 'bf16' ? 'bf16' : 'f32';
    const [dy, weights] = [roundedTo(precision, present(inputs, 0)), roundedTo(precision, weight)];
    const out = floats(outputs[0] as Tensor);
    const sums = new Float64Array(out.length);
    for (const { from, place, to } of taps(B, picture, [kh, kw], [H, W], steps)) {
      for (let o = 0; o < O; o++) {
        const gradient = dy[from * O + o] as number;
        for (let c = 0; c < C; c++) {
          const at = to * C + c;
          sums[at] = (sums[at] as number) + gradient * (weights[(o * C + c) * kh * kw + place] as number);
        }
      }
    }
    out.set(sums);
  },
  gradient: { because: 'itself a step of the backward pass; second derivatives are not taken' },
};
