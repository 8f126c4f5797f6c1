import type { TensorType } from './tensor.js';

/** Attribute values of a call: plain data that prints on one line. */
export type AttributeValue = number | string | readonly number[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** Index of a value in `Program.values`. */
export type ValueId = number;

/** One op call. An absent optional input is null. */
export interface Call {
  readonly op: string;
  readonly inputs: readonly (ValueId | null)[];
  readonly attributes: Attributes;
  readonly outputs: readonly ValueId[];
}

/** A value that has a name outside the program. */
export interface Binding {
  readonly name: string;
  readonly value: ValueId;
}

/**
 * How a weight lies in the session's memory. `plain` is row-major as in the file; the others let a backend
 * repack the weight once, at load, into the panels its matrix kernels read.
 */
export type WeightLayout = 'plain' | 'linear' | 'convolution';

export interface WeightBinding extends Binding {
  readonly layout: WeightLayout;
}

/** Calls begin..end-1 of a program, one layer of a model; `gradient` can compute them anew instead of keeping their values. */
export interface Block {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

/**
 * A flat list of op calls on values of fixed shape and dtype. It holds no numbers: weights and states are named
 * tensors of a session, inputs and outputs are bound at every run. There are no loops and no branches.
 */
export interface Program {
  readonly name: string;
  /** Type of every value, by id. */
  readonly values: readonly TensorType[];
  readonly inputs: readonly Binding[];
  /** Immutable session tensors. */
  readonly weights: readonly WeightBinding[];
  /** Mutable session tensors, such as KV caches; ops that update one alias it. */
  readonly states: readonly Binding[];
  readonly calls: readonly Call[];
  readonly outputs: readonly Binding[];
  /** Stretches that model code marked, in order of their ends; absent without any. They change nothing at run time. */
  readonly blocks?: readonly Block[];
}
