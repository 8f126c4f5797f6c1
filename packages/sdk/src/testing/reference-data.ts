import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { DType, Tensor, TensorData } from '@emu/program';
import { allocate } from '@emu/program';

/*
 * Reading of the reference data beside the checkout: inputs and outputs of the authors' own code. For tests only:
 * the files are trusted, so nothing is checked here (weights/safetensors.ts is the reader for files from outside).
 */

/** Folder of the reference data: EMU_REFERENCE, or `shared/reference` beside the repository. */
export const referenceDirectory = resolve(
  process.env['EMU_REFERENCE'] ?? join(import.meta.dirname, '../../../../../shared/reference'),
);

/** True when the reference data is there; tests that need it skip aloud when it is not. */
export const referenceExists = existsSync(join(referenceDirectory, 'goldens/manifest.json'));

if (!referenceExists) {
  console.warn(
    `[reference] no data at ${referenceDirectory}: tests against the authors' numbers are skipped`,
  );
}

/** Absolute path of a reference file, e.g. `referencePath('inputs/image0.png')`. */
export function referencePath(file: string): string {
  return join(referenceDirectory, file);
}

/** Parses a JSON file of the reference data, e.g. `goldens/schedulers.json`. The caller names its type. */
export function referenceJson<T>(file: string): T {
  return JSON.parse(readFileSync(referencePath(file), 'utf8')) as T;
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

interface OpenFile {
  readonly bytes: Uint8Array;
  readonly header: Readonly<Record<string, HeaderEntry>>;
  readonly dataStart: number;
}

const openFiles = new Map<string, OpenFile>();

const dtypes: Readonly<Record<string, DType>> = {
  F64: 'f64',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  I64: 'i64',
  I32: 'i32',
  U8: 'u8',
  BOOL: 'bool',
};

function openFile(file: string): OpenFile {
  const known = openFiles.get(file);
  if (known) return known;
  const bytes = readFileSync(referencePath(file));
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<string, HeaderEntry>;
  const opened = { bytes, header, dataStart: 8 + headerLength };
  openFiles.set(file, opened);
  return opened;
}

/** Names of the tensors in a reference file. */
export function referenceTensorNames(file: string): readonly string[] {
  return Object.keys(openFile(file).header).filter((name) => name !== '__metadata__');
}

/**
 * Reads one tensor of a safetensors file, e.g. `referenceTensor('goldens/unet.safetensors', 'square.out')`.
 * The values are a copy in the stored dtype.
 */
export function referenceTensor(file: string, name: string): Tensor {
  const { bytes, header, dataStart } = openFile(file);
  const entry = header[name];
  const dtype = entry && dtypes[entry.dtype];
  if (!entry || !dtype) throw new Error(`reference file ${file} has no readable tensor ${name}`);
  const [begin, end] = entry.data_offsets;
  const count = entry.shape.reduce((product, side) => product * side, 1);
  const data: TensorData = allocate(dtype, count);
  new Uint8Array(data.buffer).set(bytes.subarray(dataStart + begin, dataStart + end));
  return { shape: entry.shape, dtype, data };
}

/** The same for a tensor stored as f32 (or narrower): its values as f32. */
export function referenceFloats(file: string, name: string): Float32Array {
  const { data, dtype } = referenceTensor(file, name);
  if (!(data instanceof Float32Array)) throw new Error(`${file} ${name} is ${dtype}, not f32`);
  return data;
}

interface Manifest {
  readonly tensors: readonly {
    readonly file: string;
    readonly name: string;
    readonly fp32_vs_float64?: { readonly max_rel_to_max: number };
  }[];
}

let manifest: Manifest | undefined;

/**
 * The allowed max|x - golden| / max|golden| of a float32 implementation, from the reference's own float32 noise:
 * max(1e-5, 8 * noise), as the reference's README suggests. `file` is given without its folder.
 */
export function referenceBound(file: string, name: string): number {
  manifest ??= referenceJson<Manifest>('goldens/manifest.json');
  const entry = manifest.tensors.find((tensor) => tensor.file === file && tensor.name === name);
  return Math.max(1e-5, 8 * (entry?.fp32_vs_float64?.max_rel_to_max ?? 0));
}

/** max|actual - expected| / max|expected|; Infinity when the lengths differ or a value is NaN. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    const golden = expected[i] ?? NaN;
    const distance = Math.abs((actual[i] ?? NaN) - golden);
    if (Number.isNaN(distance)) return Infinity;
    if (distance > difference) difference = distance;
    if (Math.abs(golden) > largest) largest = Math.abs(golden);
  }
  return difference === 0 ? 0 : difference / largest;
}
