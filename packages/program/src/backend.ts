import type { Program, WeightLayout } from './program.js';
import type { DType, Shape, TensorData, TensorType } from './tensor.js';

/** Where the elements of a weight come from. Strides are in elements; without them the source is row-major. */
export type WeightSource =
  | {
      readonly kind: 'file';
      readonly path: string;
      /** Offset of element 0 in bytes. */
      readonly byteOffset: number;
      readonly dtype: DType;
      readonly strides?: readonly number[];
    }
  | { readonly kind: 'data'; readonly dtype: DType; readonly data: TensorData };

/** What a backend says of itself; `emu doctor` prints it. */
export interface BackendDescription {
  readonly name: string;
  readonly instructionSet: string;
  readonly threads: number;
  /** Instruction sets that this machine could use, best first. */
  readonly available: readonly string[];
  /** Names of the ops it implements; compared with the op list by a test. */
  readonly ops: readonly string[];
}

export interface SessionOptions {
  /** Threads that run kernels; the default is the number of cores that are really there. */
  readonly threads?: number;
}

export interface RunOptions {
  /** Stops before the next call of the program and rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
  /** Buffers to write outputs into; one that is absent is allocated. */
  readonly outputs?: Readonly<Record<string, TensorData>>;
  /** `finite` names the first call that made a NaN or an infinity, as NON_FINITE. */
  readonly check?: 'finite';
}

/** Time and work of one call, for profiles. */
export interface CallProfile {
  readonly index: number;
  readonly op: string;
  readonly nanoseconds: number;
}

/** A program made ready for a session. It goes with the session, or before it by `close`. */
export interface Executable {
  readonly program: Program;
  /** Bytes of scratch that a run needs. */
  readonly scratchBytes: number;
  /**
   * Runs the program. Input buffers must not change until the promise settles.
   * @throws EmuError TENSOR_SHAPE_MISMATCH for a missing, unknown or mis-sized input; MODEL_DISPOSED; INVALID_OPTION
   *   for an index out of range; NON_FINITE with `check`; or `signal.reason`.
   */
  run(
    inputs: Readonly<Record<string, TensorData>>,
    options?: RunOptions,
  ): Promise<Record<string, TensorData>>;
  /** Runs once and returns the time of every call. */
  profile(inputs: Readonly<Record<string, TensorData>>): Promise<readonly CallProfile[]>;
  /** Frees it. Runs that were asked for before end as they would; later ones throw MODEL_DISPOSED. Safe to call twice. */
  close(): void;
}

export interface WeightRequest extends TensorType {
  readonly name: string;
  readonly layout: WeightLayout;
  readonly source: WeightSource;
}

/**
 * Owns weights, states and scratch; the one thing a user closes. Runs of one session follow one another in the
 * order of their calls.
 */
export interface Session {
  readonly disposed: boolean;
  /**
   * Reads a weight into the session, converting its dtype and repacking it for `layout`. Loading the same name and
   * layout again is free.
   */
  loadWeight(request: WeightRequest): Promise<void>;
  /** Makes a zeroed state. */
  createState(name: string, shape: Shape, dtype: DType): void;
  dropState(name: string): void;
  /**
   * Overwrites a state, in order with the runs that were asked for before. `data` must not change until the promise
   * settles.
   * @throws EmuError MODEL_NOT_READY for a name that is no state, TENSOR_SHAPE_MISMATCH for data of another kind or
   *   length than the state's, MODEL_DISPOSED.
   */
  writeState(name: string, data: TensorData): Promise<void>;
  /**
   * A copy of a state as it is after the runs that were asked for before; written into `into` if that is given.
   * @throws EmuError as `writeState` does.
   */
  readState(name: string, into?: TensorData): Promise<TensorData>;
  /** Bytes held by weights and states. */
  readonly memoryBytes: number;
  /** Checks every shape, plans memory. Weights and states that the program names must be there. */
  compile(program: Program): Executable;
  /** Waits for running work, then frees everything. Safe to call twice. */
  dispose(): Promise<void>;
}

export interface Backend {
  describe(): BackendDescription;
  openSession(options?: SessionOptions): Session;
}
