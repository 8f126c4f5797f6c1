import { EmuError } from './errors.js';
import { typeText, type Tensor, type TensorType } from './tensor.js';
import type { Attributes, WeightLayout } from './program.js';
import type { Value } from './trace.js';

/** Types of a call's inputs in order; an absent optional input is null. */
export type InputTypes = readonly (TensorType | null)[];
export type InputTensors = readonly (Tensor | null)[];

/** What a gradient rule sees of the call it differentiates. */
export interface GradientContext {
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

/**
 * A gradient that is zero but for indices start..start+side-1 of one axis. Parts that lie side by side (the cuts of
 * a joint query, key and value) are joined by one concat instead of being padded and added.
 */
export interface GradientPart {
  readonly axis: number;
  readonly start: number;
  readonly part: Value;
}

/** Gradient of one input: f32 with the input's shape; null where it is zero or the input is not differentiable. */
export type InputGradient = Value | GradientPart | null;

/**
 * From the gradients of the outputs to the gradients of the inputs, written as ops on symbolic values. Gradients
 * are f32 whatever the dtype of the value; that of an output which the loss does not depend on comes as zeros. A rule
 * writes gradients for all inputs: calls whose results nobody needs are pruned afterwards. An op that has no
 * gradient says why.
 */
export type GradientRule =
  | ((outputGradients: readonly Value[], context: GradientContext) => readonly InputGradient[])
  | { readonly because: string };

/** Everything the project knows of one op. Its C++ home is the folder of the same name in cpp/ops. */
export interface OpDefinition {
  readonly name: string;
  /**
   * Output types from input types and attributes.
   * @throws EmuError TENSOR_SHAPE_MISMATCH or INVALID_OPTION, saying both sides with numbers.
   */
  infer(inputs: InputTypes, attributes: Attributes): readonly TensorType[];
  /** Plain loops that define what the op means. Writes into `outputs`, which are zeroed. */
  reference(inputs: InputTensors, attributes: Attributes, outputs: readonly Tensor[]): void;
  readonly gradient: GradientRule;
  /**
   * The backward pass computes the output again where it needs it, so that a run does not hold it until then: little
   * work beside a product, from inputs that are there anyway. `always`: the gradient rule reads the inputs itself;
   * `from-declared`: only if they are states, weights or inputs of the program.
   */
  readonly recomputed?: 'always' | 'from-declared';
  /**
   * The same outputs from simpler calls, or null if this call is simple already. A fused call whose gradient needs a
   * value that it does not hand out (what an activation is applied to) is replaced by this form before it is
   * differentiated; the rule sees only calls for which it is null.
   */
  composed?(inputs: readonly (Value | null)[], attributes: Attributes): readonly Value[] | null;
  /** The first output is the memory of input 0 (a view, or a state updated in place). */
  readonly aliasesInput?: true;
  /** The first output has the type of input 0 and may take its memory, if nothing reads that any more. */
  readonly reusesInput?: true;
  /** Inputs that are states which the op changes in place, by input index; no two of them may be one state. */
  readonly updatesState?: readonly number[];
  /** Inputs whose weight a backend may repack, by input index. */
  readonly weightLayouts?: Readonly<Record<number, WeightLayout>>;
}

/** Throws TENSOR_SHAPE_MISMATCH with the op's name in front. */
export function refuseShape(op: string, message: string, inputs: InputTypes): never {
  const came = inputs.map((type) => (type === null ? '_' : typeText(type))).join(', ');
  throw new EmuError('TENSOR_SHAPE_MISMATCH', `[${op}] ${message}: got ${came}`, {
    details: { op, inputs: inputs.map((type) => (type === null ? null : typeText(type))) },
  });
}

/** Throws INVALID_OPTION with the op's and the attribute's name in front. */
export function refuseAttribute(op: string, attribute: string, value: unknown, needed: string): never {
  // JSON would write NaN and Infinity as null.
  const came = typeof value === 'number' ? String(value) : JSON.stringify(value);
  throw new EmuError('INVALID_OPTION', `[${op}] ${attribute} ${came} is not ${needed}`, {
    details: { op, attribute, value },
  });
}

export function numberAttribute(op: string, attributes: Attributes, name: string): number {
  const value = attributes[name];
  if (typeof value !== 'number' || !Number.isFinite(value))
    refuseAttribute(op, name, value, 'a finite number');
  return value;
}

export function integerAttribute(op: string, attributes: Attributes, name: string, least: number): number {
  const value = numberAttribute(op, attributes, name);
  if (!Number.isSafeInteger(value) || value < least) {
    refuseAttribute(op, name, value, `an integer of at least ${least}`);
  }
  return value;
}

export function listAttribute(op: string, attributes: Attributes, name: string): readonly number[] {
  const value = attributes[name];
  if (!Array.isArray(value)) refuseAttribute(op, name, value, 'a list of numbers');
  return value as readonly number[];
}
