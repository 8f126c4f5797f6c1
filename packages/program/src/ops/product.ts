// What `matmul` and the op that adds a product to a state have in common.
import { integerAttribute, refuseAttribute, refuseShape, type InputTypes } from '../op.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import { precisionAttribute, roundedTo, type ProductPrecision } from './precision.js';
import { inputSignature } from './signature.js';

/** How op(a) op(b) is to be read. */
export interface Product {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly precision: ProductPrecision;
}

export function productOf(op: string, attributes: Attributes): Product {
  const flag = (name: string): boolean => {
    const value = integerAttribute(op, attributes, name, 0);
    if (value > 1) refuseAttribute(op, name, value, '0 or 1');
    return value === 1;
  };
  return {
    transposeA: flag('transposeA'),
    transposeB: flag('transposeB'),
    precision: precisionAttribute(op, attributes),
  };
}

export interface ProductSides {
  readonly M: number;
  readonly K: number;
  readonly N: number;
}

/** Binds the sides of a and b. */
export function productSides(op: string): (factors: InputTypes, product: Product) => ProductSides {
  const bind = inputSignature<'P' | 'Q' | 'R' | 'S'>(op, 'a f32|bf16[P,Q]', 'b f32|bf16[R,S]');
  return (factors, product) => {
    const { P, Q, R, S } = bind(factors);
    const [M, K] = product.transposeA ? [Q, P] : [P, Q];
    const [inner, N] = product.transposeB ? [S, R] : [R, S];
    if (K !== inner) refuseShape(op, `the inner side is ${K} in a but ${inner} in b`, factors);
    return { M, K, N };
  };
}

/** Visits op(a) op(b) element by element, row after row. */
export function eachProduct(
  a: Tensor,
  b: Tensor,
  { transposeA, transposeB, precision }: Product,
  { M, K, N }: ProductSides,
  visit: (index: number, sum: number) => void,
): void {
  const [left, right] = [roundedTo(precision, a), roundedTo(precision, b)];
  // Distance between neighbours along the rows of the result and along the inner side.
  const [rowA, innerA] = transposeA ? [1, M] : [K, 1];
  const [columnB, innerB] = transposeB ? [K, 1] : [1, N];
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) {
        sum += (left[m * rowA + k * innerA] as number) * (right[n * columnB + k * innerB] as number);
      }
      visit(m * N + n, sum);
    }
  }
}
