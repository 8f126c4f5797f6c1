import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import type { ProductPrecision } from './precision.js';
import { eachProduct, productOf, productSides } from './product.js';
import { floats, present } from './tensor-access.js';

export interface MatmulOptions {
  /** a is [K,M]. */
  readonly transposeA?: boolean;
  /** b is [N,K]. */
  readonly transposeB?: boolean;
  /** 'bf16' rounds both factors first; the default is 'f32'. */
  readonly precision?: ProductPrecision;
}

/**
 * The matrix product of two ordinary values, either of them read transposed.
 * a f32|bf16[M,K] ([K,M] when transposeA), b f32|bf16[K,N] ([N,K] when transposeB) -> f32[M,N]. Products
 * accumulate in f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the inner sides differ.
 */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  const { transposeA = false, transposeB = false, precision = 'f32' } = options;
  const attributes = { transposeA: transposeA ? 1 : 0, transposeB: transposeB ? 1 : 0, precision };
  return a.tracer.call('matmul', [a, b], attributes)[0] as Value;
}

const sidesOf = productSides('matmul');

export const matmulOp: OpDefinition = {
  name: 'matmul',
  infer(inputs, attributes) {
    const { M, N } = sidesOf(inputs, productOf('matmul', attributes));
    return [{ shape: [M, N], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const product = productOf('matmul', attributes);
    const out = floats(outputs[0] as Tensor);
    eachProduct(present(inputs, 0), present(inputs, 1), product, sidesOf(inputs, product), (index, sum) => {
      out[index] = sum;
    });
  },
  // dA = dC op(B)ᵀ and dB = op(A)ᵀ dC, each made in the layout its factor has, in the precision of the call.
  gradient([dc], { inputs, attributes }) {
    const [a, b] = inputs;
    if (!dc || !a || !b) return [null, null];
    const { transposeA, transposeB, precision } = productOf('matmul', attributes);
    const da = transposeA
      ? matmul(b, dc, { transposeA: transposeB, transposeB: true, precision })
      : matmul(dc, b, { transposeB: !transposeB, precision });
    const db = transposeB
      ? matmul(dc, a, { transposeA: true, transposeB: transposeA, precision })
      : matmul(a, dc, { transposeA: !transposeA, precision });
    return [da, db];
  },
};
