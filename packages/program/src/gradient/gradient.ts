import { EmuError } from '../errors.js';
import type { Program } from '../program.js';

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
 * the loss does not depend on has a gradient of zeros.
 * @throws EmuError INVALID_OPTION if a name is not there, the loss is not f32[1], or an op on the way has no
 *   gradient (the message says why).
 */
export function gradient(program: Program, options: GradientOptions): Program {
  throw new EmuError('UNIMPLEMENTED', `[gradient] ${program.name}: ${options.loss}`);
}

/** A program without inputs that sets every state `gradient.<name>` of a gradient program to zero. */
export function zeroGradients(gradientProgram: Program): Program {
  throw new EmuError('UNIMPLEMENTED', `[gradient] ${gradientProgram.name}`);
}
