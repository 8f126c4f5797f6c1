import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { elementCount, type DType, type Tensor, type TensorData } from '@emu/program';
import { writeSafetensors } from '@emu/sdk/weights';

import { compareTensor, type Comparison, type Tolerance } from './compare.js';
import type { Goldens } from './goldens.js';

/** Collects what a stage computed: each tensor is compared at once and kept for the dump. */
export class Recorder {
  readonly comparisons: Comparison[] = [];
  readonly #tensors = new Map<string, Map<string, Tensor>>();
  readonly #documents = new Map<string, unknown>();
  readonly #goldens: Goldens;
  readonly #floatBound: number | undefined;
  readonly #onComparison: (comparison: Comparison) => void;

  constructor(
    goldens: Goldens,
    options: { readonly floatBound?: number; readonly onComparison: (comparison: Comparison) => void },
  ) {
    this.#goldens = goldens;
    this.#floatBound = options.floatBound;
    this.#onComparison = options.onComparison;
  }

  /** Compares and keeps a tensor of ours. */
  async tensor(file: string, name: string, ours: Tensor, tolerance: Tolerance = {}): Promise<void> {
    const tensors = this.#tensors.get(file) ?? new Map<string, Tensor>();
    this.#tensors.set(file, tensors.set(name, ours));
    const bound = this.#floatBound === undefined ? tolerance : { ...tolerance, relativeL2: this.#floatBound };
    const golden = await this.#goldens.tensor(file, name);
    this.#add(compareTensor(file, name, ours, golden, this.#goldens.entry(file, name), bound));
  }

  async floats(
    file: string,
    name: string,
    shape: readonly number[],
    data: Float32Array,
    tolerance: Tolerance = {},
  ): Promise<void> {
    await this.tensor(file, name, { shape, dtype: 'f32', data }, tolerance);
  }

  async bytes(
    file: string,
    name: string,
    shape: readonly number[],
    data: Uint8Array,
    tolerance: Tolerance = {},
  ): Promise<void> {
    await this.tensor(file, name, { shape, dtype: 'u8', data }, tolerance);
  }

  /** Integers, in the dtype i64 that the goldens have. */
  async integers(
    file: string,
    name: string,
    shape: readonly number[],
    values: Iterable<number>,
  ): Promise<void> {
    const data = BigInt64Array.from([...values].map(BigInt));
    await this.tensor(file, name, { shape, dtype: 'i64', data });
  }

  /** Compares plain values, such as texts and lists of ids, by their JSON. */
  value(file: string, name: string, ours: unknown, golden: unknown): void {
    const place = { file, name, relativeL2: null, relativeMax: null, bound: null };
    if (golden === undefined) {
      this.#add({ ...place, ok: true, note: 'no golden to compare with' });
      return;
    }
    const ok = JSON.stringify(ours) === JSON.stringify(golden);
    const note = ok ? 'equal' : `ours ${short(ours)}, golden ${short(golden)}`;
    this.#add({ ...place, ok, note });
  }

  /** Compares numbers that lie in a JSON file. */
  compare(file: string, name: string, ours: Float32Array, golden: Float32Array): void {
    const shape = [golden.length];
    const tensor = { shape: [ours.length], dtype: 'f32' as const, data: ours };
    const bound = this.#floatBound === undefined ? {} : { relativeL2: this.#floatBound };
    this.#add(compareTensor(file, name, tensor, { shape, dtype: 'f32', data: golden }, undefined, bound));
  }

  /** A case that could not run. */
  failure(file: string, name: string, error: unknown): void {
    const note = error instanceof Error ? error.message : String(error);
    this.#add({ file, name, ok: false, relativeL2: null, relativeMax: null, bound: null, note });
  }

  /** A JSON document of the dump. */
  document(file: string, content: unknown): void {
    this.#documents.set(file, content);
  }

  /** Writes our tensors as safetensors files of the goldens' names, and our documents as JSON. */
  async dump(directory: string): Promise<void> {
    await mkdir(directory, { recursive: true });
    for (const [file, tensors] of this.#tensors) {
      const written = [...tensors].map(([name, tensor]) => ({ name, ...withoutSharing(tensor) }));
      await writeSafetensors(join(directory, file), written);
    }
    for (const [file, content] of this.#documents) {
      await writeFile(join(directory, file), `${JSON.stringify(content, null, 1)}\n`);
    }
  }

  #add(comparison: Comparison): void {
    this.comparisons.push(comparison);
    this.#onComparison(comparison);
  }
}

function withoutSharing(tensor: Tensor): { shape: readonly number[]; dtype: DType; data: TensorData } {
  const { shape, dtype, data } = tensor;
  return {
    shape,
    dtype,
    data: data.length === elementCount(shape) ? data : data.slice(0, elementCount(shape)),
  };
}

function short(value: unknown): string {
  const json = value === undefined ? 'nothing' : JSON.stringify(value);
  return json.length > 160 ? `${json.slice(0, 157)}...` : json;
}
