import { refuseAttribute } from '../op.js';
import type { Attributes } from '../program.js';
import { bf16ToNumber, numberToBf16, toFloat32, type Tensor } from '../tensor.js';

/** What the factors of a product are rounded to before they meet; sums are f32 either way. */
export type ProductPrecision = 'f32' | 'bf16';

/** The attribute `precision` of `op`. */
export function precisionAttribute(op: string, attributes: Attributes): ProductPrecision {
  const precision = attributes['precision'];
  if (precision !== 'f32' && precision !== 'bf16') {
    refuseAttribute(op, 'precision', precision, 'one of f32, bf16');
  }
  return precision;
}

/** Elements of an f32 or bf16 tensor as a product of that precision takes them. */
export function roundedTo(precision: ProductPrecision, tensor: Tensor): ArrayLike<number> {
  const values = toFloat32(tensor);
  if (precision === 'f32' || tensor.dtype === 'bf16') return values;
  return values.map((value) => bf16ToNumber(numberToBf16(value)));
}
