import { activationFunction, type ActivationKind } from './activation-kind.js';
import type { OpDefinition } from '../op.js';
import { toFloat32, type Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { roundedLike } from './tensor-access.js';

export interface LinearOptions {
  readonly bias?: Value | null;
  readonly activation?: ActivationKind;
  /** Added after the activation. */
  readonly residual?: Value | null;
}

/**
 * act(x Wᵀ + bias) + residual.
 * x f32[...,I], weight f32|bf16[O,I], bias f32[O], residual f32[...,O] -> f32[...,O].
 * With a bf16 weight x is rounded to bf16 first; products accumulate in f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the widths differ.
 */
export function linear(x: Value, weight: Value, options: LinearOptions = {}): Value {
  const inputs = [x, weight, options.bias ?? null, options.residual ?? null];
  return x.tracer.call('linear', inputs, { activation: options.activation ?? 'none' })[0] as Value;
}

const bind = inputSignature<'I' | 'O'>(
  'linear',
  'x f32[...,I]',
  'weight f32|bf16[O,I]',
  'bias? f32[O]',
  'residual? f32[...,O]',
);

export const linearOp: OpDefinition = {
  name: 'linear',
  infer(inputs, attributes) {
    activationFunction('linear', attributes);
    const { O, rest } = bind(inputs);
    return [{ shape: [...rest, O], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const activate = activationFunction('linear', attributes);
    const [x, weight, bias, residual] = inputs as [Tensor, Tensor, Tensor | null, Tensor | null];
    const out = (outputs[0] as Tensor).data as Float32Array;
    const [outputWidth, inputWidth] = weight.shape as [number, number];
    const rounded = roundedLike(weight, x);
    const weights = toFloat32(weight);
    const rows = out.length / Math.max(outputWidth, 1);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < outputWidth; column++) {
        let sum = 0;
        for (let k = 0; k < inputWidth; k++) {
          sum += (rounded[row * inputWidth + k] as number) * (weights[column * inputWidth + k] as number);
        }
        const at = row * outputWidth + column;
        const activated = activate(sum + ((bias?.data[column] as number | undefined) ?? 0));
        out[at] = activated + ((residual?.data[at] as number | undefined) ?? 0);
      }
    }
  },
  gradient: { because: 'arrives with the training work' },
  weightLayouts: { 1: 'linear' },
};
