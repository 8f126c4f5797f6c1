import { readFileSync } from 'node:fs';
import { allocate, elementCount, type DType, type Shape, type Tensor } from '../tensor.js';

const dtypes: Readonly<Record<string, DType>> = { F32: 'f32', BF16: 'bf16', I32: 'i32' };

interface Entry {
  readonly dtype: string;
  readonly shape: Shape;
  readonly data_offsets: readonly [number, number];
}

/** Reads a small safetensors file that this repository made itself; checks no more than the sizes. */
export function readTestTensors(path: string): ReadonlyMap<string, Tensor> {
  const file = readFileSync(path);
  const dataStart = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, dataStart)) as Record<string, Entry>;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    const dtype = dtypes[entry.dtype];
    if (dtype === undefined) throw new Error(`${path}: "${name}" has dtype ${entry.dtype}`);
    const data = allocate(dtype, elementCount(entry.shape));
    const [begin, end] = entry.data_offsets;
    if (end - begin !== data.byteLength) throw new Error(`${path}: "${name}" has ${end - begin} bytes`);
    new Uint8Array(data.buffer).set(file.subarray(dataStart + begin, dataStart + end));
    tensors.set(name, { shape: entry.shape, dtype, data });
  }
  return tensors;
}
