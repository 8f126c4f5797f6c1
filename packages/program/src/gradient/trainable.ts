import { EmuError } from '../errors.js';
import type { Program } from '../program.js';

export interface TrainableOptions {
  /** Names of the weights that become states, or a test of the name. */
  readonly states: readonly string[] | ((name: string) => boolean);
}

/**
 * The same program with the chosen weights as f32 states of the same names and shapes, so that an optimizer can
 * change them. Where the program wanted a bf16 weight, the state is rounded by a cast just before its first use:
 * f32 master weights, bf16 compute. All other weights stay what they are.
 * @throws EmuError INVALID_OPTION for a name that is not a weight of the program.
 */
export function trainable(program: Program, options: TrainableOptions): Program {
  throw new EmuError('UNIMPLEMENTED', `[trainable] ${program.name}: ${String(options.states)}`);
}
