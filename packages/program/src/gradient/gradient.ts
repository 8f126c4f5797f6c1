import { definitionOf } from '../ops/index.js';
import type { Program } from '../program.js';
import { Tracer, type Value } from '../trace.js';
import { add } from '../ops/add.js';
import { writeBackward } from './backward.js';
import { fuseHeads } from './fuse-heads.js';
import { fuseSums } from './fuse-sums.js';
import { callsBetween } from './paths.js';
import { prune } from './prune.js';
import { Replay, typeOf } from './replay.js';
import { lossValue, sourcesOf, type Source } from './sources.js';
import { constant } from './sums.js';

export interface GradientOptions {
  /** The output to differentiate, f32[1]. */
  readonly loss: string;
  /** States, weights and inputs of the program to differentiate by; f32 or bf16. */
  readonly of: readonly string[];
  /**
   * `outputs` adds an output `gradient.<name>` for each; `states` adds each gradient to a state `gradient.<name>`, so
   * that micro-batches accumulate (`zeroGradients` starts them anew). Both f32 with the shape of what they belong to.
   */
  readonly into: 'outputs' | 'states';
  /**
   * Keeps only the values that cross the borders of blocks (`tracer.block`) and computes the others again in
   * the backward pass. The same bits with less memory and up to one more forward pass. Default false.
   */
  readonly recompute?: boolean;
}

/** The output or state that holds the gradient of `name`. */
export function gradientName(name: string): string {
  return `gradient.${name}`;
}

/**
 * The program that computes, besides the outputs of `program`, the gradient of one of them (reverse mode). What
 * the loss does not depend on has a gradient of zeros. Fused calls on the way are replaced by their composed
 * forms, which may round differently in the last bit.
 * @throws EmuError INVALID_OPTION if a name is not there, the loss is not f32[1], an op on the way has no gradient
 *   (the message says why), or the way leads over a state that the program changes.
 */
export function gradient(program: Program, options: GradientOptions): Program {
  const { of, into, recompute = false } = options;
  const tracer = new Tracer(`${program.name}.gradient`);
  const forward = writeForward(program, tracer, options);
  const sources = sourcesOf(forward, of);
  const target = into === 'states' ? intoStates(tracer, sources) : intoOutputs(tracer, sources);
  writeBackward(forward, tracer, {
    sources,
    loss: lossValue(forward, options.loss),
    recompute,
    receive: target.receive,
  });
  target.finish();
  return prune(fuseHeads(fuseSums(prune(tracer.finish()))));
}

/** A program without inputs that sets every state `gradient.<name>` of a gradient program to zero. */
export function zeroGradients(gradientProgram: Program): Program {
  const tracer = new Tracer(`${gradientProgram.name}.zero`);
  for (const { name, value } of gradientProgram.states) {
    if (!name.startsWith(gradientName(''))) continue;
    const { shape } = typeOf(gradientProgram, value);
    // keep 0 assigns.
    accumulate(tracer.state(name, shape), constant(tracer, shape, 0), 0);
  }
  return tracer.finish();
}

/** Where contributions to the gradients go. */
interface Target {
  readonly receive: (source: Source, contribution: Value) => void;
  readonly finish: () => void;
}

/** Each contribution goes into its state at once, so it is never held until its siblings are there. */
function intoStates(tracer: Tracer, sources: readonly Source[]): Target {
  const states = new Map(
    sources.map(({ name, type }) => [name, tracer.state(gradientName(name), type.shape)]),
  );
  return {
    receive({ name }, contribution) {
      const state = states.get(name);
      if (state !== undefined) states.set(name, accumulate(state, contribution, 1));
    },
    finish: () => undefined,
  };
}

function intoOutputs(tracer: Tracer, sources: readonly Source[]): Target {
  const totals = new Map<string, Value>();
  return {
    receive({ name }, contribution) {
      const sum = totals.get(name);
      totals.set(name, sum === undefined ? contribution : add(sum, contribution));
    },
    finish() {
      for (const { name, type } of sources) {
        tracer.output(gradientName(name), totals.get(name) ?? constant(tracer, type.shape, 0));
      }
    },
  };
}

function accumulate(state: Value, x: Value, keep: 0 | 1): Value {
  return state.tracer.call('accumulate', [state, x], { keep, factor: 1 })[0] as Value;
}

/**
 * Writes the forward pass, every fused call between the sources and the loss in its composed form, and returns what
 * has been written so far.
 */
function writeForward(program: Program, tracer: Tracer, { of, loss }: GradientOptions): Program {
  const values = sourcesOf(program, of).flatMap((source) => source.values);
  const between = callsBetween(program, new Set(values), lossValue(program, loss));
  const replay = new Replay(program, tracer);
  replay.inBlocks((call, index) => {
    const definition = definitionOf(call.op);
    const inputs = replay.inputs(call);
    const composed = between.has(index) ? definition.composed?.(inputs, call.attributes) : null;
    replay.define(call, composed ?? tracer.call(call.op, inputs, call.attributes));
  });
  replay.outputs();
  const forward = tracer.finish();
  return { ...forward, name: program.name, values: [...forward.values], calls: [...forward.calls] };
}
