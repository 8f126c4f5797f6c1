import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { ignoredTarget } from './ignored-target.js';
import { precisionAttribute, roundedTo, type ProductPrecision } from './precision.js';
import { inputSignature } from './signature.js';
import { logSumExp } from './softmax-rows.js';
import { checkedIndex, floats, indices, present } from './tensor-access.js';

export interface LinearCrossEntropyInputs {
  /** f32[V,D], a state; the gradient of the weight is added to it. */
  readonly state: Value;
  /** f32[R,D]. */
  readonly x: Value;
  /** f32[V,D]. */
  readonly weight: Value;
  /** i32[R]. */
  readonly target: Value;
  /** The gradient of the losses, f32[R]. */
  readonly dy: Value;
}

export interface LinearCrossEntropyResults {
  readonly state: Value;
  /** f32[R]. */
  readonly losses: Value;
  /** f32[R,D]. */
  readonly dx: Value;
}

/**
 * The losses of `crossEntropy(linear(x, weight), target)` together with what a backward pass makes of them: the gradient
 * of x, and that of the weight added to a state. A backend takes some rows after the other, so that the logits, by far
 * the widest values of a language model, are never all there. Programs get it from `gradient`.
 * `precision` 'bf16' rounds the factors of its three products first.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if sides differ; INVALID_OPTION at run time if a target is neither -100 nor in
 *   0..V-1.
 * Source: logits and their gradient in pieces of rows are those of Liger Kernel (Hsu et al. 2024).
 */
export function linearCrossEntropyWithGradients(
  { state, x, weight, target, dy }: LinearCrossEntropyInputs,
  precision: ProductPrecision = 'f32',
): LinearCrossEntropyResults {
  const inputs = [state, x, weight, target, dy];
  const outputs = x.tracer.call('linearCrossEntropyWithGradients', inputs, { precision });
  const [sum, losses, dx] = outputs as readonly [Value, Value, Value];
  return { state: sum, losses, dx };
}

const op = 'linearCrossEntropyWithGradients';

const bind = inputSignature<'R' | 'D' | 'V'>(
  op,
  'state f32[V,D]',
  'x f32[R,D]',
  'weight f32[V,D]',
  'target i32[R]',
  'dy f32[R]',
);

export const linearCrossEntropyWithGradientsOp: OpDefinition = {
  name: op,
  infer(inputs, attributes) {
    precisionAttribute(op, attributes);
    const { R, D, V } = bind(inputs);
    return [
      { shape: [V, D], dtype: 'f32' },
      { shape: [R], dtype: 'f32' },
      { shape: [R, D], dtype: 'f32' },
    ];
  },
  reference(inputs, attributes, outputs) {
    const precision = precisionAttribute(op, attributes);
    const { R, D, V } = bind(inputs);
    const [x, weight] = [roundedTo(precision, present(inputs, 1)), roundedTo(precision, present(inputs, 2))];
    const [target, dy] = [indices(present(inputs, 3)), floats(present(inputs, 4))];
    const [state, losses, dx] = outputs.map(floats) as [Float32Array, Float32Array, Float32Array];
    const [sums, logits] = [Float64Array.from(state), new Float64Array(V)];
    for (let row = 0; row < R; row++) {
      const value = target[row] as number;
      if (value === ignoredTarget) continue;
      const place = checkedIndex(op, 'target', row, value, V);
      for (let v = 0; v < V; v++) {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += (x[row * D + d] as number) * (weight[v * D + d] as number);
        logits[v] = sum;
      }
      const { largest, excess } = logSumExp(logits, 0, V);
      losses[row] = largest - (logits[place] as number) + excess;
      const shares = logits.map((logit, v) => Math.exp(logit - largest - excess) - (v === place ? 1 : 0));
      const gradient = rounded(precision, shares, dy[row] as number);
      for (let d = 0; d < D; d++) {
        let sum = 0;
        for (let v = 0; v < V; v++) sum += (gradient[v] as number) * (weight[v * D + d] as number);
        dx[row * D + d] = sum;
      }
      for (let v = 0; v < V; v++) {
        for (let d = 0; d < D; d++) {
          sums[v * D + d] =
            (sums[v * D + d] as number) + (gradient[v] as number) * (x[row * D + d] as number);
        }
      }
    }
    state.set(sums);
  },
  gradient: { because: 'it makes gradients itself and changes a state' },
  aliasesInput: true,
  updatesState: [0],
};

/** factor · values, as a product of that precision takes them. */
function rounded(precision: ProductPrecision, values: Float64Array, factor: number): ArrayLike<number> {
  const products = values.map((value) => factor * value);
  if (precision === 'f32') return products;
  const tensor: Tensor = { shape: [values.length], dtype: 'f32', data: Float32Array.from(products) };
  return roundedTo(precision, tensor);
}
