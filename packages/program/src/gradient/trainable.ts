import { EmuError } from '../errors.js';
import { cast } from '../ops/cast.js';
import type { Program } from '../program.js';
import { Tracer } from '../trace.js';
import { Replay, type WeightSource } from './replay.js';

export interface TrainableOptions {
  /** Names of the weights that become states, or a test of the name. */
  readonly states: readonly string[] | ((name: string) => boolean);
}

/**
 * The same program with the chosen weights as f32 states of the same names and shapes, so that an optimizer can
 * change them. Where the program wanted a bf16 weight, the state is rounded by a cast just before each use:
 * f32 master weights, bf16 compute. All other weights stay what they are.
 * @throws EmuError INVALID_OPTION for a name that is not a weight of the program.
 */
export function trainable(program: Program, options: TrainableOptions): Program {
  const isTrained = chosen(program, options.states);
  const tracer = new Tracer(program.name);
  const source: WeightSource = (name, { shape, dtype }) => {
    if (!isTrained(name)) {
      const weight = tracer.weight(name, shape, dtype);
      return () => weight;
    }
    const master = tracer.state(name, shape);
    if (dtype !== 'bf16') return () => master;
    // Rounded anew for each reader: a copy dies after its use, and so does what comes back through it.
    return () => cast(master, 'bf16');
  };
  const replay = new Replay(program, tracer, source);
  replay.inBlocks((call) => {
    replay.repeat(call);
  });
  replay.outputs();
  return tracer.finish();
}

function chosen(program: Program, states: TrainableOptions['states']): (name: string) => boolean {
  const types = new Map(program.weights.map(({ name, value }) => [name, program.values[value]]));
  const names = typeof states === 'function' ? [...types.keys()].filter(states) : states;
  for (const name of names) {
    const type = types.get(name);
    if (type === undefined) {
      throw new EmuError('INVALID_OPTION', `[trainable] ${program.name} has no weight "${name}"`, {
        hint: `It has ${types.size} weights, among them ${[...types.keys()].slice(0, 5).join(', ')}.`,
        details: { weight: name },
      });
    }
    if (type.dtype !== 'f32' && type.dtype !== 'bf16') {
      throw new EmuError(
        'INVALID_OPTION',
        `[trainable] weight "${name}" of ${program.name} is ${type.dtype}, needs f32 or bf16`,
        { details: { weight: name } },
      );
    }
  }
  const set = new Set(names);
  return (name) => set.has(name);
}
