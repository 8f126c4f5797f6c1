import { integerAttribute, refuseAttribute, refuseShape, type InputTypes, type OpDefinition } from '../op.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { precisionAttribute, roundedTo, type ProductPrecision } from './precision.js';
import { inputSignature } from './signature.js';
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

const bind = inputSignature<'P' | 'Q' | 'R' | 'S'>('matmul', 'a f32|bf16[P,Q]', 'b f32|bf16[R,S]');

interface Product {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly precision: ProductPrecision;
}

function productOf(attributes: Attributes): Product {
  const flag = (name: string): boolean => {
    const value = integerAttribute('matmul', attributes, name, 0);
    if (value > 1) refuseAttribute('matmul', name, value, '0 or 1');
    return value === 1;
  };
  return {
    transposeA: flag('transposeA'),
    transposeB: flag('transposeB'),
    precision: precisionAttribute('matmul', attributes),
  };
}

function sidesOf(inputs: InputTypes, product: Product): { M: number; K: number; N: number } {
  const { P, Q, R, S } = bind(inputs);
  const [M, K] = product.transposeA ? [Q, P] : [P, Q];
  const [inner, N] = product.transposeB ? [S, R] : [R, S];
  if (K !== inner) refuseShape('matmul', `the inner side is ${K} in a but ${inner} in b`, inputs);
  return { M, K, N };
}

export const matmulOp: OpDefinition = {
  name: 'matmul',
  infer(inputs, attributes) {
    const { M, N } = sidesOf(inputs, productOf(attributes));
    return [{ shape: [M, N], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const product = productOf(attributes);
    const { M, K, N } = sidesOf(inputs, product);
    const a = roundedTo(product.precision, present(inputs, 0));
    const b = roundedTo(product.precision, present(inputs, 1));
    const out = floats(outputs[0] as Tensor);
    // Distance between neighbours along the rows of the result and along the inner side.
    const [rowA, innerA] = product.transposeA ? [1, M] : [K, 1];
    const [columnB, innerB] = product.transposeB ? [K, 1] : [1, N];
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) {
          sum += (a[m * rowA + k * innerA] as number) * (b[n * columnB + k * innerB] as number);
        }
        out[m * N + n] = sum;
      }
    }
  },
  // dA = dC op(B)ᵀ and dB = op(A)ᵀ dC, each made in the layout its factor has, in the precision of the call.
  gradient([dc], { inputs, attributes }) {
    const [a, b] = inputs;
    if (!dc || !a || !b) return [null, null];
    const { transposeA, transposeB, precision } = productOf(attributes);
    const da = transposeA
      ? matmul(b, dc, { transposeA: transposeB, transposeB: true, precision })
      : matmul(dc, b, { transposeB: !transposeB, precision });
    const db = transposeB
      ? matmul(dc, a, { transposeA: true, transposeB: transposeA, precision })
      : matmul(a, dc, { transposeA: !transposeA, precision });
    return [da, db];
  },
};
