// One backward pass: from the calls of a program to the calls that compute gradients.
import { EmuError } from '../errors.js';
import { definitionOf } from '../ops/index.js';
import type { InputGradient } from '../op.js';
import type { Block, Call, Program, ValueId } from '../program.js';
import { Value, type Tracer } from '../trace.js';
import {
  callsBetween,
  changedStateReader,
  crossingValues,
  isFloat,
  outermostBlocks,
  refuseChangedState,
} from './paths.js';
import { typeOf } from './replay.js';
import type { Source } from './sources.js';
import { constant, GradientSum } from './sums.js';

export interface BackwardOptions {
  readonly sources: readonly Source[];
  readonly loss: ValueId;
  readonly recompute: boolean;
  /** Takes each contribution to the gradient of a source as soon as it is there. */
  readonly receive: (source: Source, contribution: Value) => void;
}

/**
 * Appends the backward pass to the trace that wrote `program`, which holds no call with a composed form between the
 * sources and the loss. Values die as early as the order of calls allows: calls are
 * walked from the last to the first, and contributions are added up as they come.
 */
export function writeBackward(program: Program, tracer: Tracer, options: BackwardOptions): void {
  new Backward(program, tracer, options).run();
}

class Backward {
  readonly #sums = new Map<ValueId, GradientSum>();
  readonly #sourceOf = new Map<ValueId, Source>();
  readonly #between: ReadonlySet<number>;
  readonly #changedState: (call: Call) => string | null;
  readonly #blocks: ReadonlyMap<number, Block>;
  readonly #crossing: ReadonlySet<ValueId>;
  /** What the calls of the block that is being differentiated have made anew. */
  readonly #again = new Map<ValueId, Value>();
  /** Makes anew what is computed again rather than held; see `OpDefinition.recomputed`. */
  readonly #remakers: ReadonlyMap<ValueId, () => Value>;
  #replayed: Block | undefined;

  constructor(
    readonly program: Program,
    readonly tracer: Tracer,
    readonly options: BackwardOptions,
  ) {
    for (const source of options.sources) for (const id of source.values) this.#sourceOf.set(id, source);
    this.#between = callsBetween(program, new Set(this.#sourceOf.keys()), options.loss);
    this.#changedState = changedStateReader(program);
    this.#blocks = options.recompute ? outermostBlocks(program) : new Map();
    this.#crossing = options.recompute ? crossingValues(program, this.#blocks) : new Set();
    this.#remakers = this.#findRemakers();
  }

  run(): void {
    const { program, options } = this;
    this.#receive('loss', options.loss, constant(this.tracer, [1], 1));
    for (const [index, call] of [...program.calls.entries()].reverse()) {
      if (!this.#between.has(index)) continue;
      const gradients = call.outputs.map((id) => this.#take(id));
      if (gradients.every((gradient) => gradient === null)) continue;
      this.#computeAgain(this.#blocks.get(index));
      this.#differentiate(call, gradients);
    }
    for (const source of options.sources) {
      for (const id of source.values) {
        const rest = this.#take(id);
        if (rest !== null) options.receive(source, rest);
      }
    }
  }

  #differentiate(call: Call, gradients: readonly (Value | null)[]): void {
    const { op, attributes } = call;
    const { gradient: rule } = definitionOf(op);
    if (typeof rule === 'object') refuseOp(this.program, op, rule.because);
    const state = this.#changedState(call);
    if (state !== null) refuseChangedState(this.program, call, state);
    const outputs = call.outputs.map((id) => this.#value(id));
    const complete = gradients.map(
      (gradient, index) => gradient ?? constant(this.tracer, outputs[index]?.shape ?? [], 0),
    );
    const inputs = call.inputs.map((id) => (id === null ? null : this.#value(id)));
    const contributions = rule(complete, { inputs, outputs, attributes });
    call.inputs.forEach((id, index) => {
      const contribution = contributions[index] ?? null;
      if (id !== null && contribution !== null && isFloat(this.program, id))
        this.#receive(op, id, contribution);
    });
  }

  #receive(op: string, id: ValueId, contribution: Exclude<InputGradient, null>): void {
    const sum = this.#sums.get(id) ?? new GradientSum(this.tracer, typeOf(this.program, id).shape);
    this.#sums.set(id, sum);
    sum.add(op, contribution);
    const source = this.#sourceOf.get(id);
    // Parts of a source wait for one another.
    if (source === undefined || 'part' in contribution) return;
    this.#sums.delete(id);
    const total = sum.total();
    if (total !== null) this.options.receive(source, total);
  }

  #take(id: ValueId): Value | null {
    const total = this.#sums.get(id)?.total() ?? null;
    this.#sums.delete(id);
    return total;
  }

  #value(id: ValueId): Value {
    return this.#again.get(id) ?? this.#remakers.get(id)?.() ?? this.#firstValue(id);
  }

  /** A value is made anew once, where the backward pass first reads it. Calls of blocks are repeated with their block. */
  #findRemakers(): ReadonlyMap<ValueId, () => Value> {
    const { inputs, weights, states } = this.program;
    const declared = new Set<ValueId | null>([...inputs, ...weights, ...states].map(({ value }) => value));
    const remakers = new Map<ValueId, () => Value>();
    for (const [index, call] of this.program.calls.entries()) {
      const { recomputed } = definitionOf(call.op);
      const [id] = call.outputs;
      if (recomputed === undefined || id === undefined || this.#blocks.has(index)) continue;
      if (recomputed === 'from-declared' && !call.inputs.every((input) => declared.has(input))) continue;
      if (this.#changedState(call) !== null) continue;
      let value: Value | undefined;
      remakers.set(id, () => (value ??= this.#repeat(call)[0] as Value));
    }
    return remakers;
  }

  #repeat(call: Call): readonly Value[] {
    const inputs = call.inputs.map((id) => (id === null ? null : this.#value(id)));
    return this.tracer.call(call.op, inputs, call.attributes);
  }

  /** A value of the forward pass, from its number. */
  #firstValue(id: ValueId): Value {
    const { shape, dtype } = typeOf(this.program, id);
    return new Value(this.tracer, id, shape, dtype);
  }

  /** Repeats the calls of a block once more, unless it is the one repeated last; what nobody reads is pruned later. */
  #computeAgain(block: Block | undefined): void {
    if (block === this.#replayed) return;
    this.#replayed = block;
    this.#again.clear();
    if (block === undefined) return;
    for (const call of this.program.calls.slice(block.begin, block.end)) {
      const changed = this.#changedState(call);
      if (changed !== null) refuseChangedState(this.program, call, changed);
      const outputs = this.#repeat(call);
      call.outputs.forEach((id, index) => {
        const value = outputs[index];
        if (value !== undefined && !this.#crossing.has(id)) this.#again.set(id, value);
      });
    }
  }
}

function refuseOp(program: Program, op: string, because: string): never {
  throw new EmuError('INVALID_OPTION', `[gradient] ${op} in ${program.name} has no gradient: ${because}`, {
    hint: 'Put stopGradient before it, or differentiate by something that does not pass through it.',
    details: { program: program.name, op },
  });
}
