import { EmuError } from './errors.js';

/** Element types of tensors in programs, weights and files. */
export type DType = 'f64' | 'f32' | 'f16' | 'bf16' | 'i64' | 'i32' | 'u8' | 'bool';

export const bytesPerElement: Readonly<Record<DType, number>> = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  i64: 8,
  i32: 4,
  u8: 1,
  bool: 1,
};

export type Shape = readonly number[];

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Storage of a tensor in JavaScript; bf16 and f16 are their 16-bit patterns. */
export type TensorData = Float64Array | Float32Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array;

/** A tensor with its values: contiguous, row-major. */
export interface Tensor extends TensorType {
  readonly data: TensorData;
}

/** A tensor of 32-bit floats; what programs compute with. */
export interface FloatTensor extends Tensor {
  readonly dtype: 'f32';
  readonly data: Float32Array;
}

export function elementCount(shape: Shape): number {
  return shape.reduce((count, side) => count * side, 1);
}

export function byteLength(type: TensorType): number {
  return elementCount(type.shape) * bytesPerElement[type.dtype];
}

/** `f32[2,3]`, as programs print it. */
export function typeText(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(',')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((side, axis) => side === b[axis]);
}

/** Allocates zeroed storage for `length` elements. */
export function allocate(dtype: DType, length: number): TensorData {
  switch (dtype) {
    case 'f64':
      return new Float64Array(length);
    case 'f32':
      return new Float32Array(length);
    case 'f16':
    case 'bf16':
      return new Uint16Array(length);
    case 'i64':
      return new BigInt64Array(length);
    case 'i32':
      return new Int32Array(length);
    case 'u8':
    case 'bool':
      return new Uint8Array(length);
  }
}

/**
 * Makes an f32 tensor.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the data length is not the product of the shape.
 */
export function floatTensor(shape: Shape, data: Float32Array): FloatTensor {
  if (data.length !== elementCount(shape)) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[tensor] shape [${shape.join(',')}] needs ${elementCount(shape)} elements, data has ${data.length}`,
      { details: { shape, length: data.length } },
    );
  }
  return { shape, dtype: 'f32', data };
}

const convertBuffer = new DataView(new ArrayBuffer(4));

/** The 32-bit float whose upper half is this bf16 pattern. Exact. */
export function bf16ToNumber(bits: number): number {
  convertBuffer.setUint32(0, bits << 16);
  return convertBuffer.getFloat32(0);
}

/** Rounds to the nearest bf16, ties to even; NaN stays NaN. */
export function numberToBf16(value: number): number {
  convertBuffer.setFloat32(0, value);
  const bits = convertBuffer.getUint32(0);
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** IEEE 754 half precision pattern to number. Exact. */
export function f16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Widens any float tensor to f32 (f64 is rounded). Integers are converted as they are. */
export function toFloat32(tensor: Tensor): Float32Array {
  const { data, dtype } = tensor;
  if (data instanceof Float32Array) return data;
  const out = new Float32Array(data.length);
  for (let i = 0; i < out.length; i++) {
    const value = data[i] as number | bigint;
    out[i] =
      dtype === 'bf16'
        ? bf16ToNumber(value as number)
        : dtype === 'f16'
          ? f16ToNumber(value as number)
          : Number(value);
  }
  return out;
}
