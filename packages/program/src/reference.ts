import { EmuError } from './errors.js';
import { definitionOf, opNames } from './ops/index.js';
import { forEachStrided } from './ops/broadcast.js';
import type {
  Backend,
  BackendDescription,
  CallProfile,
  Executable,
  RunOptions,
  Session,
  WeightRequest,
} from './backend.js';
import type { Binding, Call, Program, ValueId } from './program.js';
import {
  allocate,
  bf16ToNumber,
  byteLength,
  elementCount,
  f16ToNumber,
  numberToBf16,
  sameShape,
  typeText,
  type DType,
  type Shape,
  type Tensor,
  type TensorData,
  type TensorType,
} from './tensor.js';

/** Reads the bytes of a weight that lies in a file; the Node build of the SDK gives one, a browser has none. */
export type FileReader = (path: string, byteOffset: number, byteLength: number) => Promise<Uint8Array>;

/**
 * The backend that defines what every op means: plain loops in TypeScript, one thread, no speed. Every other
 * backend is compared with it.
 */
export class ReferenceBackend implements Backend {
  readonly #readFile: FileReader | undefined;

  constructor(options: { readonly readFile?: FileReader } = {}) {
    this.#readFile = options.readFile;
  }

  describe(): BackendDescription {
    return {
      name: 'reference',
      instructionSet: 'javascript',
      threads: 1,
      available: ['javascript'],
      ops: opNames(),
    };
  }

  openSession(): Session {
    return new ReferenceSession(this.#readFile);
  }
}

class ReferenceSession implements Session {
  readonly #weights = new Map<string, Tensor>();
  readonly #states = new Map<string, Tensor>();
  readonly #readFile: FileReader | undefined;
  /** Settles when the runs asked for so far are over; runs share states, so they must not interleave. */
  #lastRun: Promise<unknown> = Promise.resolve();
  disposed = false;

  constructor(readFile: FileReader | undefined) {
    this.#readFile = readFile;
  }

  get memoryBytes(): number {
    return [...this.#weights.values(), ...this.#states.values()].reduce((sum, t) => sum + byteLength(t), 0);
  }

  async loadWeight(request: WeightRequest): Promise<void> {
    this.#checkOpen();
    if (this.#weights.has(request.name)) return;
    this.#weights.set(request.name, await this.#materialize(request));
  }

  createState(name: string, shape: Shape, dtype: DType): void {
    this.#checkOpen();
    this.#states.set(name, { shape, dtype, data: allocate(dtype, elementCount(shape)) });
  }

  dropState(name: string): void {
    this.#states.delete(name);
  }

  async writeState(name: string, data: TensorData): Promise<void> {
    this.#checkOpen();
    const state = this.#states.get(name);
    checkStateData(name, state, data);
    await this.#inTurn(() => {
      copyData(data, state.data);
      return Promise.resolve();
    });
  }

  async readState(name: string, into?: TensorData): Promise<TensorData> {
    this.#checkOpen();
    const state = this.#states.get(name);
    checkStateData(name, state, into);
    return this.#inTurn(() =>
      Promise.resolve(into === undefined ? state.data.slice() : copyData(state.data, into)),
    );
  }

  compile(program: Program): Executable {
    this.#checkOpen();
    for (const weight of program.weights) this.#bound(program, weight, this.#weights, 'weight');
    for (const state of program.states) this.#bound(program, state, this.#states, 'state');
    const scratchBytes = program.values.reduce((sum, type) => sum + byteLength(type), 0);
    let isClosed = false;
    const checkOpen = () => {
      if (isClosed) throw closedExecutable(program);
    };
    return {
      program,
      scratchBytes,
      run: async (inputs, options) => {
        checkOpen();
        return this.#inTurn(() => this.#run(program, inputs, options ?? {}));
      },
      close: () => {
        isClosed = true;
      },
      profile: async (inputs) => {
        checkOpen();
        const times: CallProfile[] = [];
        await this.#inTurn(() => this.#run(program, inputs, {}, times));
        return times;
      },
    };
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    await this.#lastRun;
    this.#weights.clear();
    this.#states.clear();
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#lastRun.then(run);
    this.#lastRun = result.catch(() => undefined);
    return result;
  }

  async #run(
    program: Program,
    inputs: Readonly<Record<string, TensorData>>,
    options: RunOptions,
    times?: CallProfile[],
  ): Promise<Record<string, TensorData>> {
    this.#checkOpen();
    checkInputs(program, inputs);
    const tensors: (Tensor | undefined)[] = new Array<Tensor | undefined>(program.values.length);
    const type = (id: ValueId): TensorType => program.values[id] as TensorType;
    for (const { name, value } of program.inputs)
      tensors[value] = { ...type(value), data: inputs[name] as TensorData };
    for (const weight of program.weights)
      tensors[weight.value] = this.#bound(program, weight, this.#weights, 'weight');
    for (const state of program.states)
      tensors[state.value] = this.#bound(program, state, this.#states, 'state');
    for (const [index, call] of program.calls.entries()) {
      // Lets an abort that came in meanwhile be seen.
      await Promise.resolve();
      options.signal?.throwIfAborted();
      const start = performance.now();
      runCall(call, tensors, type);
      times?.push({ index, op: call.op, nanoseconds: Math.round((performance.now() - start) * 1e6) });
      if (options.check === 'finite') checkFinite(call, index, tensors);
    }
    return Object.fromEntries(
      program.outputs.map((output) => [output.name, result(output, tensors, options)]),
    );
  }

  #bound(program: Program, binding: Binding, held: ReadonlyMap<string, Tensor>, what: string): Tensor {
    const tensor = held.get(binding.name);
    const needed = program.values[binding.value] as TensorType;
    if (tensor === undefined) {
      throw new EmuError(
        'MODEL_NOT_READY',
        `[${program.name}] ${what} "${binding.name}" is not in the session`,
      );
    }
    if (tensor.dtype !== needed.dtype || !sameShape(tensor.shape, needed.shape)) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[${program.name}] ${what} "${binding.name}" is ${typeText(tensor)}, the program needs ${typeText(needed)}`,
      );
    }
    return tensor;
  }

  async #materialize(request: WeightRequest): Promise<Tensor> {
    const { source, shape, dtype } = request;
    const strides = source.kind === 'file' ? source.strides : undefined;
    const count = elementCount(shape);
    const extent =
      strides === undefined || count === 0
        ? count
        : 1 + shape.reduce((sum, side, axis) => sum + (side - 1) * (strides[axis] ?? 0), 0);
    const stored = await this.#storedElements(request, extent);
    if (stored.length < extent) {
      throw new EmuError(
        'CHECKPOINT_CORRUPT',
        `[weights] "${request.name}" needs ${extent} elements, found ${stored.length}`,
      );
    }
    if (strides === undefined && source.dtype === dtype)
      return { shape, dtype, data: stored.slice(0, count) };
    const out = allocate(dtype, count);
    const convert = (at: number, from: number): void => {
      const value = decode(stored[from] as number | bigint, source.dtype);
      if (out instanceof BigInt64Array) out[at] = BigInt(value);
      else out[at] = dtype === 'bf16' ? numberToBf16(value) : value;
    };
    if (strides === undefined) for (let at = 0; at < count; at++) convert(at, at);
    else forEachStrided(shape, strides, convert);
    return { shape, dtype, data: out };
  }

  async #storedElements(request: WeightRequest, count: number): Promise<TensorData> {
    const { source, name } = request;
    const empty = allocate(source.dtype, source.kind === 'data' ? 0 : count);
    if (source.kind === 'data') {
      if (source.data.constructor === empty.constructor) return source.data;
      const [came, needed] = [source.data.constructor.name, empty.constructor.name];
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[weights] "${name}" is ${source.dtype} in a ${came}, needs a ${needed}`,
      );
    }
    if (this.#readFile === undefined) {
      throw new EmuError(
        'CAPABILITY_MISSING',
        `[weights] "${name}" lies in a file and this backend has no file reader`,
      );
    }
    const bytes = await this.#readFile(source.path, source.byteOffset, empty.byteLength);
    if (bytes.byteLength !== empty.byteLength) {
      throw new EmuError(
        'CHECKPOINT_CORRUPT',
        `[weights] "${name}" needs ${empty.byteLength} bytes at ${source.byteOffset} of ${source.path}, ` +
          `found ${bytes.byteLength}`,
      );
    }
    new Uint8Array(empty.buffer).set(bytes);
    return empty;
  }

  #checkOpen(): void {
    if (this.disposed) throw new EmuError('MODEL_DISPOSED', '[session] the session has been disposed');
  }
}

function runCall(call: Call, tensors: (Tensor | undefined)[], type: (id: ValueId) => TensorType): void {
  const definition = definitionOf(call.op);
  const inputs = call.inputs.map((id) => (id === null ? null : (tensors[id] as Tensor)));
  const outputs = call.outputs.map((id, index) => ({
    ...type(id),
    data:
      definition.aliasesInput && index === 0
        ? (inputs[0] as Tensor).data
        : allocate(type(id).dtype, elementCount(type(id).shape)),
  }));
  definition.reference(inputs, call.attributes, outputs);
  call.outputs.forEach((id, index) => (tensors[id] = outputs[index]));
}

/**
 * Refuses a run whose inputs are missing, unknown, of the wrong dtype or size.
 * Shared by all backends: what a program takes is checked in one place.
 */
export function checkInputs(program: Program, inputs: Readonly<Record<string, TensorData>>): void {
  for (const { name, value } of program.inputs) {
    const needed = program.values[value] as TensorType;
    const given = inputs[name];
    const sample = allocate(needed.dtype, 0);
    if (given === undefined) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[${program.name}] input "${name}" ${typeText(needed)} is missing`,
      );
    }
    if (given.constructor !== sample.constructor || given.length !== elementCount(needed.shape)) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[${program.name}] input "${name}" is a ${given.constructor.name} of ${given.length}, ` +
          `${typeText(needed)} needs a ${sample.constructor.name} of ${elementCount(needed.shape)}`,
        { details: { input: name, length: given.length } },
      );
    }
  }
  const unknown = Object.keys(inputs).find((name) => !program.inputs.some((input) => input.name === name));
  if (unknown !== undefined) {
    throw new EmuError('TENSOR_SHAPE_MISMATCH', `[${program.name}] there is no input "${unknown}"`, {
      hint: `Its inputs are ${program.inputs.map((input) => input.name).join(', ')}.`,
    });
  }
}

/** What a closed executable answers. */
export function closedExecutable({ name }: Program): EmuError {
  return new EmuError('MODEL_DISPOSED', `[${name}] the program has been closed`);
}

/**
 * Refuses to read or write a state that is not there, and data that does not fit it. Shared by all backends.
 * @throws EmuError MODEL_NOT_READY or TENSOR_SHAPE_MISMATCH.
 */
export function checkStateData(
  name: string,
  type: TensorType | undefined,
  data: TensorData | undefined,
): asserts type is TensorType {
  if (type === undefined) {
    throw new EmuError('MODEL_NOT_READY', `[session] there is no state "${name}"`, {
      details: { state: name },
    });
  }
  const sample = allocate(type.dtype, 0);
  const length = elementCount(type.shape);
  if (data === undefined || (data.constructor === sample.constructor && data.length === length)) return;
  throw new EmuError(
    'TENSOR_SHAPE_MISMATCH',
    `[session] state "${name}" ${typeText(type)} needs a ${sample.constructor.name} of ${length}, ` +
      `got a ${data.constructor.name} of ${data.length}`,
    { details: { state: name, length: data.length } },
  );
}

/** Copies between buffers of one kind and length. */
function copyData(from: TensorData, to: TensorData): TensorData {
  (to as Float32Array).set(from as Float32Array);
  return to;
}

function result(output: Binding, tensors: readonly (Tensor | undefined)[], options: RunOptions): TensorData {
  const { data } = tensors[output.value] as Tensor;
  const target = options.outputs?.[output.name];
  if (target === undefined) return data.slice();
  if (target.constructor !== data.constructor || target.length !== data.length) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[run] output "${output.name}" needs a ${data.constructor.name} of ${data.length}, got a ${target.constructor.name} of ${target.length}`,
    );
  }
  return copyData(data, target);
}

function checkFinite(call: Call, index: number, tensors: readonly (Tensor | undefined)[]): void {
  for (const id of call.outputs) {
    const { data } = tensors[id] as Tensor;
    if (!(data instanceof Float32Array)) continue;
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) continue;
    throw new EmuError(
      'NON_FINITE',
      `[${call.op}] call ${index} made ${data[bad]} at element ${bad} of %${id}`,
      {
        details: { op: call.op, call: index, element: bad },
      },
    );
  }
}

function decode(value: number | bigint, dtype: DType): number {
  if (dtype === 'bf16') return bf16ToNumber(value as number);
  return dtype === 'f16' ? f16ToNumber(value as number) : Number(value);
}
