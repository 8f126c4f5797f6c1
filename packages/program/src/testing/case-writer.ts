import { Philox } from '../philox.js';
import {
  allocate,
  elementCount,
  numberToBf16,
  type DType,
  type Shape,
  type Tensor,
  type TensorData,
} from '../tensor.js';
import { trace, type Tracer, type Value } from '../trace.js';
import type { OpCase, Tolerance } from './op-case.js';

/** Float types a tensor of a case is stored in. */
export type StoredDType = 'f32' | 'bf16';

/**
 * Declares the tensors of a case and draws their values in one step. Values depend on the seed, the case's name and
 * the tensor's name alone, so a case with some of the rows of another has the same numbers in them.
 */
export class CaseWriter {
  readonly tracer: Tracer;
  readonly inputs: Record<string, TensorData> = {};
  readonly weights: Record<string, Tensor> = {};
  readonly #seed: number;
  readonly #origin: string;

  constructor(tracer: Tracer, seed: number, origin: string) {
    this.tracer = tracer;
    this.#seed = seed;
    this.#origin = origin;
  }

  /** An input of normal numbers with the given deviation. */
  floats(name: string, shape: Shape, spread = 1, dtype: StoredDType = 'f32'): Value {
    this.inputs[name] = this.#draw(name, shape, spread, dtype);
    return this.tracer.input(name, shape, dtype);
  }

  /** An input of which only the given rows (indices of axis 0 of `shape`) are kept. */
  floatRows(
    name: string,
    shape: Shape,
    rows: readonly number[],
    spread = 1,
    dtype: StoredDType = 'f32',
  ): Value {
    const all = this.#draw(name, shape, spread, dtype);
    const width = elementCount(shape.slice(1));
    const kept = allocate(dtype, rows.length * width);
    rows.forEach((row, index) => {
      (kept as Float32Array).set(all.subarray(row * width, (row + 1) * width), index * width);
    });
    this.inputs[name] = kept;
    return this.tracer.input(name, shape.with(0, rows.length), dtype);
  }

  /** A session weight of normal numbers; the default deviation keeps products with it near unit size. */
  weight(name: string, shape: Shape, dtype: StoredDType = 'f32', spread?: number): Value {
    const fanIn = Math.max(1, elementCount(shape.slice(1)));
    const deviation = spread ?? (shape.length > 1 ? fanIn ** -0.5 : 1);
    this.weights[name] = { shape, dtype, data: this.#draw(name, shape, deviation, dtype) };
    return this.tracer.weight(name, shape, dtype);
  }

  /** An f32 input with these values. */
  numbers(name: string, shape: Shape, values: ArrayLike<number>): Value {
    this.inputs[name] = Float32Array.from(values);
    return this.tracer.input(name, shape);
  }

  /** An i32 input with these values. */
  indices(name: string, shape: Shape, values: readonly number[]): Value {
    this.inputs[name] = Int32Array.from(values);
    return this.tracer.input(name, shape, 'i32');
  }

  /** Whole numbers in 0..limit-1, drawn like everything else. */
  drawIndices(name: string, count: number, limit: number): number[] {
    const random = this.#generator(name);
    return Array.from({ length: count }, () => random.nextUint32() % limit);
  }

  #draw(name: string, shape: Shape, spread: number, dtype: DType): Float32Array | Uint16Array {
    const random = this.#generator(name);
    const data = allocate(dtype, elementCount(shape)) as Float32Array | Uint16Array;
    for (let i = 0; i < data.length; i++) {
      const value = random.nextNormal() * spread;
      data[i] = dtype === 'bf16' ? numberToBf16(value) : value;
    }
    return data;
  }

  #generator(name: string): Philox {
    return new Philox(this.#seed, hash(`${this.#origin}/${name}`));
  }
}

export interface WrittenCase {
  readonly name: string;
  readonly op: string;
  readonly tolerance: Tolerance;
  readonly seed: number;
  /** Where the random values come from; cases with the same origin share them. The name by default. */
  readonly origin?: string;
}

/** Writes one case; `build` returns the value that is the output `y`, or several by name. */
export function writeCase(
  about: WrittenCase,
  build: (writer: CaseWriter) => Value | Readonly<Record<string, Value>>,
): OpCase {
  const { name, op, tolerance, seed, origin = name } = about;
  let writer: CaseWriter | undefined;
  const program = trace(name, (t) => {
    writer = new CaseWriter(t, seed, origin);
    const built = build(writer);
    const outputs = 'tracer' in built ? { y: built as Value } : built;
    for (const [output, value] of Object.entries(outputs)) t.output(output, value);
  });
  return { name, op, program, inputs: writer?.inputs ?? {}, weights: writer?.weights ?? {}, tolerance };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return value;
}
