import { activationFunction, type ActivationKind } from './activation-kind.js';
import { bf16ToNumber, numberToBf16, sameShape, toFloat32, type Tensor } from '../tensor.js';
import { refuseShape, required, type OpDefinition } from '../op.js';
import type { Value } from '../trace.js';

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

export const linearOp: OpDefinition = {
  name: 'linear',
  infer(inputs, attributes) {
    activationFunction('linear', attributes);
    const x = required('linear', inputs, 0);
    const weight = required('linear', inputs, 1);
    const [bias, residual] = [inputs[2], inputs[3]];
    const [outputWidth, inputWidth] = weight.shape;
    if (weight.shape.length !== 2 || outputWidth === undefined)
      refuseShape('linear', 'weight is not [O,I]', inputs);
    if (x.shape.at(-1) !== inputWidth) {
      refuseShape('linear', `x width ${x.shape.at(-1)} is not weight width ${inputWidth}`, inputs);
    }
    if (bias && !sameShape(bias.shape, [outputWidth])) {
      refuseShape('linear', `bias is not [${outputWidth}]`, inputs);
    }
    const shape = [...x.shape.slice(0, -1), outputWidth];
    if (residual && !sameShape(residual.shape, shape)) {
      refuseShape('linear', `residual is not [${shape.join(',')}]`, inputs);
    }
    return [{ shape, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const activate = activationFunction('linear', attributes);
    const [x, weight, bias, residual] = inputs as [Tensor, Tensor, Tensor | null, Tensor | null];
    const out = (outputs[0] as Tensor).data as Float32Array;
    const [outputWidth, inputWidth] = weight.shape as [number, number];
    const rounded =
      weight.dtype === 'bf16' ? toFloat32(x).map((v) => bf16ToNumber(numberToBf16(v))) : toFloat32(x);
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
