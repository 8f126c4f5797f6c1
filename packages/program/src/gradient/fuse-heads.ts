// Cross-entropies of projected values, with their backward pass, as single calls.
import { definitionOf } from '../ops/index.js';
import type { Call, Program, ValueId } from '../program.js';
import { changedStateReader } from './paths.js';
import { readersOf } from './readers.js';
import { typeOf } from './replay.js';

/**
 * The same program with `linear`, `crossEntropy` and the three calls that a backward pass makes of them as one call
 * (`linearCrossEntropyWithGradients`) where the linear call stands, wherever nothing else reads the logits or their
 * gradient. The loss must weigh the losses by what is known before them, as a weighted sum does: then their gradient is
 * known too, and nothing of the size of the logits waits for the end of the forward pass.
 */
export function fuseHeads(program: Program): Program {
  return program.calls
    .filter(({ op }) => op === 'crossEntropyGradient')
    .reduce((fused, start) => new HeadFusion(fused, start).run(), program);
}

/** The calls that one call stands for. */
interface Head {
  readonly project: Call;
  readonly losses: Call;
  readonly logitGradient: Call;
  readonly inputGradient: Call;
  readonly weightGradient: Call;
}

class HeadFusion {
  readonly #maker = new Map<ValueId, Call>();
  readonly #readers: ReadonlyMap<ValueId, readonly Call[]>;
  readonly #order: ReadonlyMap<Call, number>;

  constructor(
    readonly program: Program,
    readonly start: Call,
  ) {
    for (const call of program.calls) for (const id of call.outputs) this.#maker.set(id, call);
    this.#readers = readersOf(program);
    this.#order = new Map(program.calls.map((call, index) => [call, index]));
  }

  run(): Program {
    const head = this.#find();
    if (head === undefined) return this.program;
    const { project, losses, logitGradient, inputGradient, weightGradient } = head;
    const [, target = null, dy = null] = logitGradient.inputs;
    const [state = null] = weightGradient.inputs;
    const early = this.#callsFor([state, target, dy], project);
    const gone = new Set(Object.values(head) as Call[]);
    // What is needed early may neither come from what the head itself makes nor from a state while it changes.
    const changedState = changedStateReader(this.program);
    if (early.some((call) => gone.has(call) || changedState(call) !== null)) return this.program;
    const fused: Call = {
      op: 'linearCrossEntropyWithGradients',
      inputs: [state, project.inputs[0] ?? null, this.#unrounded(project.inputs[1]), target, dy],
      attributes: { precision: this.#isBf16(project.inputs[1]) ? 'bf16' : 'f32' },
      outputs: [weightGradient, losses, inputGradient].flatMap(({ outputs }) => outputs),
    };
    const moved = new Set(early);
    const calls = this.program.calls.flatMap((call) => {
      if (call === project) return [...early, fused];
      return gone.has(call) || moved.has(call) ? [] : [call];
    });
    return { ...this.program, calls };
  }

  /** The head around a crossEntropyGradient, if the program has nothing but these calls there. */
  #find(): Head | undefined {
    const logitGradient = this.start;
    const [logits, target] = logitGradient.inputs;
    const project = this.#maker.get(logits ?? -1);
    if (project?.op !== 'linear' || !isPlainProduct(this.program, project)) return undefined;
    const [x, weight] = project.inputs;
    const losses = this.#onlyOther(logits, logitGradient);
    if (losses?.op !== 'crossEntropy' || losses.inputs[1] !== target) return undefined;
    const [gradient] = logitGradient.outputs;
    const readers = this.#readers.get(gradient ?? -1) ?? [];
    const inputGradient = readers.find(({ op }) => op === 'matmul');
    const weightGradient = readers.find(({ op }) => op === 'accumulateMatmul');
    if (readers.length !== 2 || inputGradient === undefined || weightGradient === undefined) return undefined;
    const precision = this.#isBf16(weight) ? 'bf16' : 'f32';
    const isHead =
      this.#isF32(this.#unrounded(weight)) &&
      this.#same(inputGradient.inputs[1], weight) &&
      reads(inputGradient, gradient, 0, { transposeA: 0, transposeB: 0, precision }) &&
      this.#same(weightGradient.inputs[2], x) &&
      reads(weightGradient, gradient, 1, { transposeA: 1, transposeB: 0, precision });
    return isHead ? { project, losses, logitGradient, inputGradient, weightGradient } : undefined;
  }

  /** The one call besides `known` that reads a value. */
  #onlyOther(id: ValueId | null | undefined, known: Call): Call | undefined {
    if (this.program.outputs.some(({ value }) => value === id)) return undefined;
    const [other, ...more] = (this.#readers.get(id ?? -1) ?? []).filter((call) => call !== known);
    return more.length === 0 ? other : undefined;
  }

  /** Calls after `place` that must come before it if these values are to be there, in their order. */
  #callsFor(values: readonly (ValueId | null)[], place: Call): readonly Call[] {
    const position = this.#order.get(place) ?? 0;
    const needed = new Set<Call>();
    const visit = (id: ValueId | null): void => {
      const call = this.#maker.get(id ?? -1);
      if (call === undefined || needed.has(call) || (this.#order.get(call) ?? 0) < position) return;
      needed.add(call);
      call.inputs.forEach(visit);
    };
    values.forEach(visit);
    return this.program.calls.filter((call) => needed.has(call));
  }

  /** Whether two values are made by the same ops from the same values: a backward pass makes some anew. */
  #same(a: ValueId | null | undefined, b: ValueId | null | undefined): boolean {
    if (a === b) return true;
    const [one, other] = [this.#maker.get(a ?? -1), this.#maker.get(b ?? -1)];
    if (one === undefined || other === undefined || one.op !== other.op) return false;
    if ((definitionOf(one.op).updatesState ?? []).length > 0) return false;
    return (
      one.outputs.indexOf(a ?? -1) === other.outputs.indexOf(b ?? -1) &&
      JSON.stringify(one.attributes) === JSON.stringify(other.attributes) &&
      one.inputs.length === other.inputs.length &&
      one.inputs.every((id, index) => this.#same(id, other.inputs[index]))
    );
  }

  /** The f32 value that a bf16 copy was rounded from; the products round it just so. */
  #unrounded(id: ValueId | null | undefined): ValueId | null {
    const maker = this.#isBf16(id) ? this.#maker.get(id ?? -1) : undefined;
    return (maker?.op === 'cast' ? maker.inputs[0] : id) ?? null;
  }

  #isBf16(id: ValueId | null | undefined): boolean {
    return id != null && typeOf(this.program, id).dtype === 'bf16';
  }

  #isF32(id: ValueId | null | undefined): boolean {
    return id != null && typeOf(this.program, id).dtype === 'f32';
  }
}

/** x [R,D] times a weight in its plain layout, and no more. */
function isPlainProduct(program: Program, { inputs, attributes }: Call): boolean {
  const [x, weight, bias, residual] = inputs;
  if (x == null || typeOf(program, x).shape.length !== 2 || bias != null || residual != null) return false;
  const isPacked = program.weights.some(({ value, layout }) => value === weight && layout !== 'plain');
  return !isPacked && attributes['activation'] === 'none';
}

function reads(
  { inputs, attributes }: Call,
  id: ValueId | undefined,
  index: number,
  options: Call['attributes'],
): boolean {
  return inputs[index] === id && Object.entries(options).every(([name, value]) => attributes[name] === value);
}
