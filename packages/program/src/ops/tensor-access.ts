// How reference loops read and write tensors: stored floats are widened on reading and rounded on writing, and
// every index that comes from data is checked before it is used.
import { EmuError } from '../errors.js';
import type { InputTensors } from '../op.js';
import { bf16ToNumber, numberToBf16, type Tensor } from '../tensor.js';

/** The tensor of an input that `infer` has made sure of. */
export function present(inputs: InputTensors, index: number): Tensor {
  return inputs[index] as Tensor;
}

/** Elements of an f32 tensor, as they lie. */
export function floats(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}

/** Reads elements of an f32 or bf16 tensor as numbers, widening on the fly so that no copy of a large table is made. */
export function floatReader(tensor: Tensor): (index: number) => number {
  const { data } = tensor;
  if (data instanceof Uint16Array) return (index) => bf16ToNumber(data[index] as number);
  return (index) => data[index] as number;
}

/** Elements of an f32 tensor as a product with `weight` takes them: rounded to bf16 where the weight is bf16. */
export function roundedLike(weight: Tensor, x: Tensor): Float32Array {
  const values = floats(x);
  return weight.dtype === 'bf16' ? values.map((value) => bf16ToNumber(numberToBf16(value))) : values;
}

/** Writes numbers into an f32 or bf16 tensor, rounding to nearest even. */
export function floatWriter(tensor: Tensor): (index: number, value: number) => void {
  const data = tensor.data as Float32Array | Uint16Array;
  if (data instanceof Uint16Array) {
    return (index, value) => {
      data[index] = numberToBf16(value);
    };
  }
  return (index, value) => {
    data[index] = value;
  };
}

/** Elements of an i32 tensor. */
export function indices(tensor: Tensor): Int32Array {
  return tensor.data as Int32Array;
}

/**
 * Returns `value` if it lies in `least`..`count - 1`.
 * @throws EmuError INVALID_OPTION `[op] what value at row r is not in least..last`.
 */
export function checkedIndex(
  op: string,
  what: string,
  row: number,
  value: number,
  count: number,
  least = 0,
): number {
  if (value >= least && value < count) return value;
  throw new EmuError(
    'INVALID_OPTION',
    `[${op}] ${what} ${value} at row ${row} is not in ${least}..${count - 1}`,
    {
      details: { op, what, row, value, least, count },
    },
  );
}
