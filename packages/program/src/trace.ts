import { EmuError } from './errors.js';
import { definitionOf } from './ops/index.js';
import { sameShape, typeText, type DType, type Shape, type TensorType } from './tensor.js';
import type { Attributes, Binding, Call, Program, ValueId, WeightBinding, WeightLayout } from './program.js';

/** A symbolic value: a shape and a dtype inside the program being traced. It owns nothing. */
export class Value implements TensorType {
  constructor(
    readonly tracer: Tracer,
    readonly id: ValueId,
    readonly shape: Shape,
    readonly dtype: DType,
  ) {}

  /**
   * The side of one axis, for model code that reads `x.side(0)`; negative counts from the end.
   * @throws EmuError TENSOR_SHAPE_MISMATCH if there is no such axis.
   */
  side(axis: number): number {
    const side = this.shape.at(axis);
    if (side === undefined) {
      throw new EmuError('TENSOR_SHAPE_MISMATCH', `[trace] ${typeText(this)} has no axis ${axis}`);
    }
    return side;
  }

  toString(): string {
    return `%${this.id} ${typeText(this)}`;
  }
}

// Names travel inside double quotes in printed programs.
const printableName = /^[^"\\\u0000-\u001f]+$/;

/** Collects the calls of one program. Made by `trace`; model code only hands it on. */
export class Tracer {
  readonly #name: string;
  readonly #values: TensorType[] = [];
  readonly #inputs: Binding[] = [];
  readonly #weights = new Map<string, WeightBinding>();
  readonly #states = new Map<string, Binding>();
  readonly #calls: Call[] = [];
  readonly #outputs: Binding[] = [];

  constructor(name: string) {
    checkName('program', name);
    this.#name = name;
  }

  /** A value that each run brings along. */
  input(name: string, shape: Shape, dtype: DType = 'f32'): Value {
    checkName('input', name);
    if (this.#inputs.some((input) => input.name === name)) {
      throw new EmuError('INVALID_OPTION', `[trace] input "${name}" is declared twice in ${this.#name}`);
    }
    const value = this.#newValue({ shape, dtype });
    this.#inputs.push({ name, value: value.id });
    return value;
  }

  /** An immutable tensor of the session. Asking twice for a name gives the same value. */
  weight(name: string, shape: Shape, dtype: DType = 'f32'): Value {
    const known = this.#weights.get(name);
    if (known !== undefined) return this.#again(name, known.value, { shape, dtype });
    checkName('weight', name);
    const value = this.#newValue({ shape, dtype });
    this.#weights.set(name, { name, value: value.id, layout: 'plain' });
    return value;
  }

  /** A mutable tensor of the session, such as a KV cache. */
  state(name: string, shape: Shape, dtype: DType = 'f32'): Value {
    const known = this.#states.get(name);
    if (known !== undefined) return this.#again(name, known.value, { shape, dtype });
    checkName('state', name);
    const value = this.#newValue({ shape, dtype });
    this.#states.set(name, { name, value: value.id });
    return value;
  }

  /** Names a value as a result of the program. */
  output(name: string, value: Value): void {
    checkName('output', name);
    this.#own(value);
    if (this.#outputs.some((output) => output.name === name)) {
      throw new EmuError('INVALID_OPTION', `[trace] output "${name}" is declared twice in ${this.#name}`);
    }
    this.#outputs.push({ name, value: value.id });
  }

  /** Appends a call; shapes and attributes are checked by the op's own rule. */
  call(op: string, inputs: readonly (Value | null)[], attributes: Attributes = {}): readonly Value[] {
    const definition = definitionOf(op);
    for (const input of inputs) if (input !== null) this.#own(input);
    const types = definition.infer(inputs, attributes);
    const outputs = types.map((type) => this.#newValue(type));
    const weightLayouts = Object.entries(definition.weightLayouts ?? {});
    for (const [index, layout] of weightLayouts) this.#useWeight(inputs[Number(index)] ?? null, layout);
    this.#calls.push({
      op,
      inputs: inputs.map((input) => input?.id ?? null),
      attributes,
      outputs: outputs.map((output) => output.id),
    });
    return outputs;
  }

  /** Closes the trace. */
  finish(): Program {
    if (this.#outputs.length === 0 && this.#states.size === 0) {
      throw new EmuError(
        'INVALID_OPTION',
        `[trace] program ${this.#name} has no output and changes no state`,
      );
    }
    return {
      name: this.#name,
      values: this.#values,
      inputs: this.#inputs,
      weights: [...this.#weights.values()],
      states: [...this.#states.values()],
      calls: this.#calls,
      outputs: this.#outputs,
    };
  }

  #newValue(type: TensorType): Value {
    const bad = type.shape.find((side) => !Number.isSafeInteger(side) || side < 0);
    if (bad !== undefined) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[trace] side ${bad} in [${type.shape.join(',')}] is not a size`,
      );
    }
    this.#values.push({ shape: type.shape, dtype: type.dtype });
    return new Value(this, this.#values.length - 1, type.shape, type.dtype);
  }

  #again(name: string, id: ValueId, asked: TensorType): Value {
    const known = this.#values[id] as TensorType;
    if (known.dtype !== asked.dtype || !sameShape(known.shape, asked.shape)) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[trace] "${name}" is ${typeText(known)}, asked for again as ${typeText(asked)}`,
      );
    }
    return new Value(this, id, known.shape, known.dtype);
  }

  #useWeight(input: Value | null, layout: WeightLayout): void {
    if (input === null) return;
    for (const weight of this.#weights.values()) {
      if (weight.value === input.id) this.#weights.set(weight.name, { ...weight, layout });
    }
  }

  #own(value: Value): void {
    if (value.tracer !== this) {
      throw new EmuError('INVALID_OPTION', `[trace] ${value.toString()} belongs to another program`);
    }
  }
}

/**
 * Runs model code once on symbolic values and returns the program it wrote down.
 * @throws EmuError from any op whose shapes or attributes do not fit.
 */
export function trace(name: string, build: (tracer: Tracer) => void): Program {
  const tracer = new Tracer(name);
  build(tracer);
  return tracer.finish();
}

function checkName(what: string, name: string): void {
  if (!printableName.test(name)) {
    throw new EmuError(
      'INVALID_OPTION',
      `[trace] ${what} name ${JSON.stringify(name)} cannot be printed in a program`,
    );
  }
}
