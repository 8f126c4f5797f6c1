import {
  allocate,
  bytesPerElement,
  elementCount,
  type DType,
  type Shape,
  type Tensor,
  type TensorData,
} from '@emu/program';

import { corrupt, quoted, type FilePlace } from './checkpoint-error.js';
import { readExactly, type RandomAccess } from './random-access.js';

/** Where the values of one tensor lie: nothing is read until a backend maps the file or a tool reads it. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Path of the file that holds the values, little-endian. */
  readonly file: string;
  /** Position of element 0 in the file, in bytes. Not necessarily aligned to the element size. */
  readonly byteOffset: number;
  /** Distance of neighbours along each axis, in elements, none negative; absent when contiguous row-major. */
  readonly strides?: readonly number[];
}

/** The tensors of one checkpoint file, or of all shards of one index. */
export interface TensorFile {
  readonly path: string;
  readonly format: 'safetensors' | 'torch';
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Places in the file that hold something other than tensors, e.g. `epoch`, as written; they are not used. */
  readonly ignored: readonly string[];
}

/** Most tensors one file may hold: far above any real model, low enough that a hostile header stays cheap. */
export const tensorCountLimit = 1 << 18;

/** Longest tensor name, in UTF-16 units. */
export const nameLimit = 1 << 14;

/** Most axes of a tensor. */
export const rankLimit = 32;

/** Values of one read in JavaScript; larger tensors are mapped by a backend or streamed. */
export const readLimitBytes = 2 ** 31;

/**
 * Number of elements of a shape from outside, or undefined when a partial product is beyond 2^53-1, as the
 * safetensors format counts (a later 0 does not excuse an overflow).
 */
export function checkedElementCount(shape: Shape): number | undefined {
  let count = 1;
  for (const side of shape) {
    count *= side;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

/** Row-major strides of a shape, in elements. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1);
  }
  return strides;
}

/** True when the strides are those of row-major order; those of axes of length 1 say nothing. */
export function isRowMajor(shape: Shape, strides: readonly number[]): boolean {
  if (elementCount(shape) === 0) return true;
  const expected = rowMajorStrides(shape);
  return shape.every((side, axis) => side === 1 || strides[axis] === expected[axis]);
}

/** Elements from the first to one past the last that a strided tensor touches; 0 when it is empty. */
export function stridedSpan(shape: Shape, strides: readonly number[]): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((span, side, axis) => span + (side - 1) * (strides[axis] ?? 0), 1);
}

/** The bytes of any tensor data, shared. */
export function bytesOf(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

interface Axis {
  readonly side: number;
  readonly stride: number;
  readonly outStride: number;
}

/** Axes in the order in which they lie in the storage, outermost first: reading then moves forward only. */
function storageOrder(shape: Shape, strides: readonly number[]): Axis[] {
  const out = rowMajorStrides(shape);
  return shape
    .map((side, axis) => ({ side, stride: strides[axis] ?? 0, outStride: out[axis] ?? 0 }))
    .filter(({ side }) => side !== 1)
    .sort((a, b) => b.stride - a.stride);
}

const windowBytes = 1 << 20;
const sparseStrideBytes = 4096;

async function gatherStrided(
  access: RandomAccess,
  entry: TensorEntry,
  strides: readonly number[],
  out: Uint8Array,
  place: FilePlace,
): Promise<void> {
  const size = bytesPerElement[entry.dtype];
  const axes = storageOrder(entry.shape, strides);
  const end = entry.byteOffset + stridedSpan(entry.shape, strides) * size;
  const innerStrideBytes = (axes.at(-1)?.stride ?? 1) * size;
  const readAhead = innerStrideBytes >= sparseStrideBytes ? size : windowBytes;
  const position = axes.map(() => 0);
  let window = new Uint8Array(0);
  let windowStart = -1;
  let source = entry.byteOffset;
  let target = 0;
  for (;;) {
    if (source < windowStart || source + size > windowStart + window.length || windowStart < 0) {
      window = new Uint8Array(
        await readExactly(access, source, Math.min(readAhead, end - source), place, 'a tensor'),
      );
      windowStart = source;
    }
    const from = source - windowStart;
    for (let byte = 0; byte < size; byte++) out[target + byte] = window[from + byte] ?? 0;
    let depth = axes.length - 1;
    for (; depth >= 0; depth--) {
      const axis = axes[depth];
      if (axis === undefined) break;
      const next = (position[depth] ?? 0) + 1;
      if (next < axis.side) {
        position[depth] = next;
        source += axis.stride * size;
        target += axis.outStride * size;
        break;
      }
      position[depth] = 0;
      source -= (axis.side - 1) * axis.stride * size;
      target -= (axis.side - 1) * axis.outStride * size;
    }
    if (depth < 0) return;
  }
}

const readChunkBytes = 1 << 26;

/**
 * Reads the values of one tensor: contiguous, row-major, in the stored dtype. For small tensors, tests and tools.
 * @throws EmuError CHECKPOINT_CORRUPT if the file is too short, or the tensor is over 2 GiB.
 */
export async function readTensorFrom(access: RandomAccess, entry: TensorEntry): Promise<Tensor> {
  const place = { reader: 'weights', path: entry.file };
  const count = elementCount(entry.shape);
  const total = count * bytesPerElement[entry.dtype];
  if (total > readLimitBytes) {
    throw corrupt(
      place,
      `tensor ${quoted(entry.name)} has ${total} bytes, at most ${readLimitBytes} are read at once`,
      { details: { tensor: entry.name, bytes: total, limit: readLimitBytes } },
    );
  }
  // Checked before the memory is taken: a false entry must not cost more than the file has.
  const strides = entry.strides;
  const span = (strides ? stridedSpan(entry.shape, strides) : count) * bytesPerElement[entry.dtype];
  if (entry.byteOffset + span > access.size) {
    throw corrupt(
      place,
      `tensor ${quoted(entry.name)} ends at byte ${entry.byteOffset + span}, the file has ${access.size}`,
      { details: { tensor: entry.name, end: entry.byteOffset + span, size: access.size } },
    );
  }
  const data = allocate(entry.dtype, count);
  const out = bytesOf(data);
  if (strides && count > 0) {
    await gatherStrided(access, entry, strides, out, place);
  } else {
    for (let done = 0; done < total; done += readChunkBytes) {
      const length = Math.min(readChunkBytes, total - done);
      out.set(await readExactly(access, entry.byteOffset + done, length, place, 'a tensor'), done);
    }
  }
  return { dtype: entry.dtype, shape: entry.shape, data };
}
