import { Tracer, type Shape, type Value } from '@emu/program';

/** Where precision is chosen: matrices, convolutions and token tables in this dtype, all else in f32. */
export interface Precision {
  readonly matrices: 'f32' | 'bf16';
}

/** Everything in f32. */
export const singlePrecision: Precision = { matrices: 'f32' };

/** A tensor that a checkpoint must hold: its name in the file and its shape. */
export interface CheckpointTensor {
  readonly name: string;
  readonly shape: Shape;
}

/** Weight and bias of a normalisation. */
export interface NormParameters {
  readonly weight: Value;
  readonly bias: Value;
}

/** Weight [O,I] and bias [O] of a linear layer. */
export interface LinearParameters {
  readonly weight: Value;
  readonly bias: Value | null;
}

/** Weight [O,C,k,k] and bias [O] of a convolution. */
export interface ConvolutionParameters {
  readonly weight: Value;
  readonly bias: Value;
}

interface Source {
  readonly tracer: Tracer;
  readonly precision: Precision;
  readonly sessionPrefix: string;
  readonly asked: CheckpointTensor[];
}

/**
 * Asks a program for weights by their official checkpoint names. Each part of a model turns it into a typed
 * record of values once; the functions that compute see only that record.
 */
export class Parameters {
  readonly #source: Source;
  readonly #path: string;

  private constructor(source: Source, path: string) {
    this.#source = source;
    this.#path = path;
  }

  /**
   * `sessionPrefix` and the checkpoint name together are the name in the session, so that checkpoints which
   * both have a `conv_in.weight` fit into one session.
   */
  static of(tracer: Tracer, precision: Precision, sessionPrefix = ''): Parameters {
    return new Parameters({ tracer, precision, sessionPrefix, asked: [] }, '');
  }

  /** The tensors that `build` asks for, in order: what a checkpoint must hold, read off the model's own code. */
  static askedBy(build: (parameters: Parameters) => void): readonly CheckpointTensor[] {
    const asked: CheckpointTensor[] = [];
    const tracer = new Tracer('tensors');
    build(new Parameters({ tracer, precision: singlePrecision, sessionPrefix: '', asked }, ''));
    return asked;
  }

  /** One level down: `p.in('norm1').vector('weight', [D])` asks for `norm1.weight`. */
  in(part: string | number): Parameters {
    return new Parameters(this.#source, this.#named(String(part)));
  }

  /** Weights of a product, or a token table, in the matrices' dtype. */
  matrix(name: string, shape: Shape): Value {
    return this.#weight(name, shape, this.#source.precision.matrices);
  }

  /** A vector or a small table, always f32. */
  vector(name: string, shape: Shape): Value {
    return this.#weight(name, shape, 'f32');
  }

  /** Weight and bias [width] of a normalisation, both f32. */
  norm(name: string, width: number): NormParameters {
    const part = this.in(name);
    return { weight: part.vector('weight', [width]), bias: part.vector('bias', [width]) };
  }

  /** Weight [outputWidth,inputWidth] and bias [outputWidth]. */
  linear(name: string, inputWidth: number, outputWidth: number): LinearParameters {
    const part = this.in(name);
    return {
      weight: part.matrix('weight', [outputWidth, inputWidth]),
      bias: part.vector('bias', [outputWidth]),
    };
  }

  /** Weight [outputWidth,inputWidth] alone. */
  linearWithoutBias(name: string, inputWidth: number, outputWidth: number): LinearParameters {
    return { weight: this.in(name).matrix('weight', [outputWidth, inputWidth]), bias: null };
  }

  /** A square kernel of `side` by `side`. */
  convolution(name: string, inputs: number, outputs: number, side: number): ConvolutionParameters {
    const part = this.in(name);
    return {
      weight: part.matrix('weight', [outputs, inputs, side, side]),
      bias: part.vector('bias', [outputs]),
    };
  }

  #weight(name: string, shape: Shape, dtype: 'f32' | 'bf16'): Value {
    const { tracer, sessionPrefix, asked } = this.#source;
    const checkpointName = this.#named(name);
    asked.push({ name: checkpointName, shape });
    return tracer.weight(sessionPrefix + checkpointName, shape, dtype);
  }

  #named(part: string): string {
    return this.#path === '' ? part : `${this.#path}.${part}`;
  }
}

/** `count` records, one for each index; `layers.0`, `layers.1` and so on in checkpoint names. */
export function repeated<T>(count: number, make: (index: number) => T): readonly T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
