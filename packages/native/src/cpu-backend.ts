import {
  allocate,
  checkInputs,
  checkStateData,
  closedExecutable,
  elementCount,
  EmuError,
  print,
  typeText,
  type Backend,
  type BackendDescription,
  type CallProfile,
  type DType,
  type EmuErrorCode,
  type Executable,
  type Program,
  type RunOptions,
  type Session,
  type SessionOptions,
  type Shape,
  type TensorData,
  type TensorType,
  type WeightLayout,
  type WeightRequest,
} from '@emu/program';
import {
  loadAddon,
  type Addon,
  type NativeCallback,
  type NativeExecutable,
  type NativeSession,
} from './addon.js';

// Numbers of the C++ enums emu::DType and emu::Layout.
const dtypeNumbers: Readonly<Record<DType, number>> = {
  f64: 0,
  f32: 1,
  f16: 2,
  bf16: 3,
  i64: 4,
  i32: 5,
  u8: 6,
  bool: 7,
};
const layoutNumbers: Readonly<Record<WeightLayout, number>> = { plain: 0, linear: 1, convolution: 2 };

const mostThreads = 256;

export interface CpuBackendOptions {
  /** Forces an instruction set (`portable`, `avx2`, `avx512`, `avx512bf16`, `amx`); the default is EMU_ISA, else the best there is. */
  readonly instructionSet?: string;
}

/**
 * Programs on the CPU: SIMD kernels chosen at run time, on native threads, off the JavaScript thread.
 * @throws EmuError NATIVE_UNAVAILABLE if the addon cannot be loaded.
 */
export class CpuBackend implements Backend {
  readonly #addon: Addon;
  readonly #instructionSet: string;

  constructor(options: CpuBackendOptions = {}) {
    this.#addon = loadAddon();
    // A name that the machine lacks is refused when a session opens, not passed over.
    this.#instructionSet = options.instructionSet ?? process.env['EMU_ISA'] ?? '';
  }

  describe(): BackendDescription {
    const { instructionSet, cores, available, ops } = this.#addon.describe();
    return {
      name: 'cpu',
      instructionSet: this.#instructionSet || instructionSet,
      threads: cores,
      available,
      ops,
    };
  }

  openSession(options: SessionOptions = {}): Session {
    const threads = options.threads ?? this.#addon.describe().cores;
    if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads) {
      throw new EmuError(
        'INVALID_OPTION',
        `[native] threads ${threads} is not an integer in 1..${mostThreads}`,
        {
          details: { threads },
        },
      );
    }
    const handle = asEmuError(() => this.#addon.openSession(threads, this.#instructionSet));
    return new CpuSession(this.#addon, handle);
  }
}

class CpuSession implements Session {
  readonly #addon: Addon;
  readonly #handle: NativeSession;
  readonly #executables = new Set<NativeExecutable>();
  readonly #states = new Map<string, TensorType>();
  #disposal: Promise<void> | undefined;

  constructor(addon: Addon, handle: NativeSession) {
    this.#addon = addon;
    this.#handle = handle;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  get memoryBytes(): number {
    return this.disposed ? 0 : this.#addon.memoryBytes(this.#handle);
  }

  async loadWeight(request: WeightRequest): Promise<void> {
    this.#checkOpen();
    const { name, shape, dtype, layout, source } = request;
    const common = { name, shape, dtype: dtypeNumbers[dtype], layout: layoutNumbers[layout] };
    const stored = { ...common, storedDtype: dtypeNumbers[source.dtype] };
    const native =
      source.kind === 'data'
        ? { ...stored, data: source.data }
        : {
            ...stored,
            path: source.path,
            byteOffset: source.byteOffset,
            ...(source.strides && { strides: source.strides }),
          };
    await settle((callback) => {
      this.#addon.loadWeight(this.#handle, native, callback);
    });
  }

  createState(name: string, shape: Shape, dtype: DType): void {
    this.#checkOpen();
    asEmuError(() => {
      this.#addon.createState(this.#handle, name, shape, dtypeNumbers[dtype]);
    });
    this.#states.set(name, { shape: [...shape], dtype });
  }

  dropState(name: string): void {
    this.#checkOpen();
    this.#addon.dropState(this.#handle, name);
    this.#states.delete(name);
  }

  async writeState(name: string, data: TensorData): Promise<void> {
    this.#checkOpen();
    checkStateData(name, this.#states.get(name), data);
    await settle((callback) => {
      this.#addon.writeState(this.#handle, name, data, callback);
    });
  }

  async readState(name: string, into?: TensorData): Promise<TensorData> {
    this.#checkOpen();
    const type = this.#states.get(name);
    checkStateData(name, type, into);
    const data = into ?? allocate(type.dtype, elementCount(type.shape));
    await settle((callback) => {
      this.#addon.readState(this.#handle, name, data, callback);
    });
    return data;
  }

  compile(program: Program): Executable {
    this.#checkOpen();
    const { executable, scratchBytes } = asEmuError(() => this.#addon.compile(this.#handle, print(program)));
    this.#executables.add(executable);
    return new CpuExecutable(this.#addon, executable, program, scratchBytes, {
      checkOpen: () => {
        this.#checkOpen();
        if (!this.#executables.has(executable)) throw closedExecutable(program);
      },
      close: () => {
        if (this.#executables.delete(executable)) this.#addon.closeExecutable(executable);
      },
    });
  }

  dispose(): Promise<void> {
    this.#disposal ??= this.#close();
    return this.#disposal;
  }

  async #close(): Promise<void> {
    // Behind the work that is under way; what was asked for before still finishes.
    await settle((callback) => {
      this.#addon.closeSession(this.#handle, callback);
    });
    for (const executable of this.#executables) this.#addon.closeExecutable(executable);
    this.#executables.clear();
  }

  #checkOpen(): void {
    if (this.disposed) throw new EmuError('MODEL_DISPOSED', '[session] the session has been disposed');
  }
}

/** What an executable asks of its session. */
interface ExecutableOwner {
  /** @throws EmuError MODEL_DISPOSED when the session or the executable has been closed. */
  readonly checkOpen: () => void;
  readonly close: () => void;
}

class CpuExecutable implements Executable {
  readonly #addon: Addon;
  readonly #handle: NativeExecutable;
  readonly #owner: ExecutableOwner;

  constructor(
    addon: Addon,
    handle: NativeExecutable,
    readonly program: Program,
    readonly scratchBytes: number,
    owner: ExecutableOwner,
  ) {
    this.#addon = addon;
    this.#handle = handle;
    this.#owner = owner;
  }

  close(): void {
    this.#owner.close();
  }

  async run(
    inputs: Readonly<Record<string, TensorData>>,
    options: RunOptions = {},
  ): Promise<Record<string, TensorData>> {
    const { outputs } = await this.#start(inputs, options, false);
    return outputs;
  }

  async profile(inputs: Readonly<Record<string, TensorData>>): Promise<readonly CallProfile[]> {
    const { times } = await this.#start(inputs, {}, true);
    return this.program.calls.map((call, index) => ({ index, op: call.op, nanoseconds: times[index] ?? 0 }));
  }

  async #start(
    inputs: Readonly<Record<string, TensorData>>,
    options: RunOptions,
    profile: boolean,
  ): Promise<{ outputs: Record<string, TensorData>; times: readonly number[] }> {
    this.#owner.checkOpen();
    const { signal } = options;
    signal?.throwIfAborted();
    checkInputs(this.program, inputs);
    const outputs = this.#outputBuffers(options.outputs ?? {});
    const cancel = new Int32Array(1);
    const onAbort = () => Atomics.store(cancel, 0, 1);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const result = await settle((callback) => {
        this.#addon.run(
          this.#handle,
          this.program.inputs.map((input) => inputs[input.name] as TensorData),
          this.program.outputs.map((output) => outputs[output.name] as TensorData),
          cancel,
          options.check === 'finite',
          profile,
          callback,
        );
      });
      return { outputs, times: profile ? (result as number[]) : [] };
    } catch (error) {
      if (EmuError.isInstance(error) && error.code === 'CANCELLED') signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #outputBuffers(given: Readonly<Record<string, TensorData>>): Record<string, TensorData> {
    const buffers: Record<string, TensorData> = {};
    for (const { name, value } of this.program.outputs) {
      const type = this.program.values[value] as TensorType;
      const length = elementCount(type.shape);
      const target = given[name] ?? allocate(type.dtype, length);
      if (target.length !== length || target.constructor !== allocate(type.dtype, 0).constructor) {
        throw new EmuError(
          'TENSOR_SHAPE_MISMATCH',
          `[${this.program.name}] output "${name}" ${typeText(type)} cannot go into a ${target.constructor.name} of ${target.length}`,
        );
      }
      buffers[name] = target;
    }
    return buffers;
  }
}

function settle(start: (callback: NativeCallback) => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    asEmuError(() => {
      start((code, message, result) => {
        if (code === null) resolve(result);
        else reject(new EmuError(code, message ?? code));
      });
    });
  });
}

/** Errors that the addon throws at once carry a code of the error table. */
function asEmuError<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code, message } = error as { code?: EmuErrorCode; message: string };
    throw code === undefined ? error : new EmuError(code, message, { cause: error });
  }
}
