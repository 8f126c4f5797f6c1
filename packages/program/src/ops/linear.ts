import { activationFunction, type ActivationKind } from './activation-kind.js';
import type { OpDefinition } from '../op.js';
import { toFloat32, type Tensor, elementCount } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { roundedLike } from './tensor-access.js';
import { activation } from './activation.js';
import { add } from './add.js';
import { matmul } from './matmul.js';
import { reshape } from './reshape.js';
import { sumTo } from './sum-to.js';

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

/** [...,D] -> [rows,D]; a view. */
function asMatrix(x: Value): Value {
  return x.shape.length === 2 ? x : reshape(x, [elementCount(x.shape.slice(0, -1)), x.side(-1)]);
}

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
  composed([x, weight, bias = null, residual = null], attributes) {
    const kind = attributes['activation'] as ActivationKind;
    if (kind === 'none' || !x || !weight) return null;
    const activated = activation(linear(x, weight, { bias }), kind);
    return [residual === null ? activated : add(activated, residual)];
  },
  gradient([dy], { inputs }) {
    const [x, weight] = inputs as readonly [Value, Value];
    const precision = weight.dtype === 'bf16' ? 'bf16' : 'f32';
    const rows = asMatrix(dy as Value);
    const dx = reshape(matmul(rows, weight, { precision }), x.shape);
    const dweight = matmul(rows, asMatrix(x), { transposeA: true, precision });
    return [dx, dweight, sumTo(dy as Value, [weight.side(0)]), dy as Value];
  },
  weightLayouts: { 1: 'linear' },
};
