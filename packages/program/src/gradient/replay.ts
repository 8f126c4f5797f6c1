// Writing the calls of a finished program down again in another trace.
import { EmuError } from '../errors.js';
import type { Call, Program, ValueId } from '../program.js';
import type { TensorType } from '../tensor.js';
import type { Tracer, Value } from '../trace.js';

/** Gives the value that stands for a weight where it is first read. */
export type WeightSource = (name: string, type: TensorType) => () => Value;

/** The values of a finished program in the trace that repeats it. */
export class Replay {
  readonly #program: Program;
  readonly #values = new Map<ValueId, Value>();
  readonly #weights = new Map<ValueId, () => Value>();

  /**
   * Declares every input, weight and state of `program` in `tracer`, in their order. A weight that is read in several
   * layouts is one value again; the new trace finds out which layouts its calls want.
   */
  constructor(
    program: Program,
    readonly tracer: Tracer,
    weight: WeightSource = (name, { shape, dtype }) => {
      const value = tracer.weight(name, shape, dtype);
      return () => value;
    },
  ) {
    this.#program = program;
    for (const { name, value } of program.inputs) {
      const { shape, dtype } = typeOf(program, value);
      this.#values.set(value, tracer.input(name, shape, dtype));
    }
    const byName = new Map<string, () => Value>();
    for (const { name, value } of program.weights) {
      const source = byName.get(name) ?? weight(name, typeOf(program, value));
      byName.set(name, source);
      this.#weights.set(value, source);
    }
    for (const { name, value } of program.states) {
      const { shape, dtype } = typeOf(program, value);
      this.#values.set(value, tracer.state(name, shape, dtype));
    }
  }

  /** The new value of an old one that is declared or computed already. */
  value(id: ValueId): Value {
    const value = this.#values.get(id) ?? this.#weights.get(id)?.();
    if (value === undefined) {
      throw new EmuError('INTERNAL', `[${this.#program.name}] %${id} is read before it is computed`);
    }
    return value;
  }

  inputs(call: Call): readonly (Value | null)[] {
    return call.inputs.map((id) => (id === null ? null : this.value(id)));
  }

  /** Says what an old call has become. */
  define(call: Call, outputs: readonly Value[]): void {
    call.outputs.forEach((id, index) => {
      const value = outputs[index];
      if (value !== undefined) this.#values.set(id, value);
    });
  }

  /** Appends a call as it was. */
  repeat(call: Call): void {
    this.define(call, this.tracer.call(call.op, this.inputs(call), call.attributes));
  }

  /** Visits all calls in order, inside the blocks they were in. */
  inBlocks(visit: (call: Call, index: number) => void): void {
    const { calls } = this.#program;
    // The outer of two blocks that begin together comes first.
    const blocks = (this.#program.blocks ?? []).toSorted((a, b) => a.begin - b.begin || b.end - a.end);
    let next = 0;
    const walk = (begin: number, end: number): void => {
      for (let at = begin; at < end;) {
        const block = blocks[next];
        if (block?.begin === at) {
          next++;
          this.tracer.block(block.name, () => {
            walk(block.begin, block.end);
          });
          at = block.end;
        } else {
          const call = calls[at];
          if (call !== undefined) visit(call, at);
          at++;
        }
      }
    };
    walk(0, calls.length);
  }

  /** Names the outputs of the old program in the new trace. */
  outputs(): void {
    for (const { name, value } of this.#program.outputs) this.tracer.output(name, this.value(value));
  }
}

/** The type of a value of a program. */
export function typeOf(program: Program, id: ValueId): TensorType {
  const type = program.values[id];
  if (type === undefined) throw new EmuError('INTERNAL', `[${program.name}] there is no value %${id}`);
  return type;
}
