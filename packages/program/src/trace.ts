import { EmuError } from './errors.js';
import { definitionOf } from './ops/index.js';
import { byteLength, sameShape, typeText, type DType, type Shape, type TensorType } from './tensor.js';
import type {
  Attributes,
  Binding,
  Block,
  Call,
  Program,
  ValueId,
  WeightBinding,
  WeightLayout,
} from './program.js';

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

/** Programs hold values of at most this many axes and bytes; backends rely on it. */
const maxAxes = 8;
const maxBytes = 2 ** 46 - 1;

// Names travel inside double quotes in printed programs.
const printableName = /^[^"\\\u0000-\u001f]+$/;

/** Collects the calls of one program. Made by `trace`; model code only hands it on. */
export class Tracer {
  readonly #name: string;
  readonly #values: TensorType[] = [];
  readonly #inputs: Binding[] = [];
  /** One binding for each layout in which a weight is read, by value. */
  readonly #weights = new Map<ValueId, WeightBinding>();
  /** The value of each weight that model code holds, by name. */
  readonly #weightValues = new Map<string, ValueId>();
  /** Weights that some call reads; the layout of the others is still open. */
  readonly #weightsRead = new Set<ValueId>();
  readonly #states = new Map<string, Binding>();
  /** The state whose memory a value is: of the states themselves and of what ops made of them in place. */
  readonly #stateMemory = new Map<ValueId, ValueId>();
  readonly #calls: Call[] = [];
  readonly #outputs: Binding[] = [];
  readonly #blocks: Block[] = [];

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
    const known = this.#weightValues.get(name);
    if (known !== undefined) return this.#again(name, known, { shape, dtype });
    checkName('weight', name);
    const value = this.#newValue({ shape, dtype });
    this.#weightValues.set(name, value.id);
    this.#weights.set(value.id, { name, value: value.id, layout: 'plain' });
    return value;
  }

  /** A mutable tensor of the session, such as a KV cache. */
  state(name: string, shape: Shape, dtype: DType = 'f32'): Value {
    const known = this.#states.get(name);
    if (known !== undefined) return this.#again(name, known.value, { shape, dtype });
    checkName('state', name);
    const value = this.#newValue({ shape, dtype });
    this.#states.set(name, { name, value: value.id });
    this.#stateMemory.set(value.id, value.id);
    return value;
  }

  /** Names a value as a result of the program. */
  output(name: string, value: Value): void {
    checkName('output', name);
    this.#own(value);
    if (this.#outputs.some((output) => output.name === name)) {
      throw new EmuError('INVALID_OPTION', `[trace] output "${name}" is declared twice in ${this.#name}`);
    }
    this.#outputs.push({ name, value: this.#read(value.id, 'plain') });
  }

  /** Appends a call; shapes and attributes are checked by the op's own rule. */
  call(op: string, inputs: readonly (Value | null)[], attributes: Attributes = {}): readonly Value[] {
    const definition = definitionOf(op);
    for (const input of inputs) if (input !== null) this.#own(input);
    const types = definition.infer(inputs, attributes);
    checkAttributes(op, attributes);
    this.#checkUpdates(op, inputs, definition.updatesState ?? []);
    const read = inputs.map((input, index) =>
      input === null ? null : this.#read(input.id, definition.weightLayouts?.[index] ?? 'plain'),
    );
    const outputs = types.map((type) => this.#newValue(type));
    const state = this.#stateMemory.get(inputs[0]?.id ?? -1);
    const [first] = outputs;
    if (definition.aliasesInput && state !== undefined && first !== undefined) {
      this.#stateMemory.set(first.id, state);
    }
    this.#calls.push({ op, inputs: read, attributes, outputs: outputs.map((output) => output.id) });
    return outputs;
  }

  /**
   * Runs `build` and marks the calls it makes as one block, such as a layer. Blocks may lie in one another; for
   * recomputation the outermost counts. Returns what `build` returns.
   */
  block<T>(name: string, build: () => T): T {
    checkName('block', name);
    const begin = this.#calls.length;
    const built = build();
    const end = this.#calls.length;
    if (end > begin) this.#blocks.push({ name, begin, end });
    return built;
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
      ...(this.#blocks.length > 0 ? { blocks: this.#blocks } : {}),
    };
  }

  #newValue({ shape, dtype }: TensorType): Value {
    const text = `[${shape.join(',')}]`;
    const bad = shape.find((side) => !Number.isSafeInteger(side) || side < 0);
    if (bad !== undefined) {
      throw new EmuError('TENSOR_SHAPE_MISMATCH', `[trace] side ${bad} in ${text} is not a size`);
    }
    if (shape.length > maxAxes) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[trace] ${text} has ${shape.length} axes, at most ${maxAxes}`,
      );
    }
    // Written so that NaN (infinity times 0) is refused too.
    if (!(byteLength({ shape, dtype }) <= maxBytes)) {
      throw new EmuError('TENSOR_SHAPE_MISMATCH', `[trace] ${dtype}${text} has 2^46 bytes or more`);
    }
    // A copy, so that a caller who changes its list later does not change the program.
    const type = { shape: [...shape], dtype };
    this.#values.push(type);
    return new Value(this, this.#values.length - 1, type.shape, dtype);
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

  /**
   * The value to read for a call that wants a weight in `layout`. The first reader decides the layout of a weight;
   * a reader that wants another one (an embedding table that is also the output projection) gets a second binding
   * of the same name.
   */
  #read(id: ValueId, layout: WeightLayout): ValueId {
    const binding = this.#weights.get(id);
    if (binding === undefined) return id;
    if (!this.#weightsRead.has(id)) {
      this.#weightsRead.add(id);
      this.#weights.set(id, { ...binding, layout });
      return id;
    }
    for (const other of this.#weights.values()) {
      if (other.name === binding.name && other.layout === layout) return other.value;
    }
    const sibling = this.#newValue(this.#values[id] as TensorType).id;
    this.#weightsRead.add(sibling);
    this.#weights.set(sibling, { name: binding.name, value: sibling, layout });
    return sibling;
  }

  /** An op changes states in place: nothing else, and each only once in a call. */
  #checkUpdates(op: string, inputs: readonly (Value | null)[], updated: readonly number[]): void {
    const states = updated.map((index) => this.#stateMemory.get(inputs[index]?.id ?? -1));
    for (const [order, index] of updated.entries()) {
      if (states[order] === undefined) {
        throw new EmuError(
          'INVALID_OPTION',
          `[${op}] input ${index} ${String(inputs[index])} is not a state`,
          {
            hint: 'Declare it with tracer.state(...).',
          },
        );
      }
      const other = states.indexOf(states[order]);
      if (other === order) continue;
      throw new EmuError(
        'INVALID_OPTION',
        `[${op}] inputs ${updated[other]} and ${index} are one state, ${String(inputs[index])}`,
        { hint: 'Each state that an op changes needs memory of its own.' },
      );
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

function checkAttributes(op: string, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    const parts: readonly (string | number)[] = typeof value === 'object' ? value : [value];
    const printable = parts.every((part) =>
      typeof part === 'number' ? Number.isFinite(part) : part === '' || printableName.test(part),
    );
    if (printable && /^\w+$/.test(name)) continue;
    throw new EmuError(
      'INVALID_OPTION',
      `[${op}] attribute ${name} = ${String(value)} cannot be printed in a program`,
      { details: { op, attribute: name } },
    );
  }
}
