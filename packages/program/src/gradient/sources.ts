import { EmuError } from '../errors.js';
import type { Binding, Program, ValueId } from '../program.js';
import { typeText, type TensorType } from '../tensor.js';
import { isFloat } from './paths.js';
import { typeOf } from './replay.js';

/** What a program is differentiated by. */
export interface Source {
  readonly name: string;
  readonly type: TensorType;
  /** Several for a weight that is read in several layouts. */
  readonly values: readonly ValueId[];
}

/** @throws EmuError INVALID_OPTION for a name that is unknown, ambiguous, given twice or that of integers. */
export function sourcesOf(program: Program, names: readonly string[]): readonly Source[] {
  const kinds = [program.states, program.weights, program.inputs].map(valuesByName);
  const seen = new Set<string>();
  return names.map((name) => {
    if (seen.has(name)) refuse(program, name, 'is asked for twice');
    seen.add(name);
    const [values, ...others] = kinds.map((kind) => kind.get(name)).filter((found) => found !== undefined);
    const [first] = values ?? [];
    if (values === undefined || first === undefined) return refuseUnknown(program, name);
    if (others.length > 0) refuse(program, name, 'names more than one of a state, a weight and an input');
    const type = typeOf(program, first);
    if (!isFloat(program, first)) {
      refuse(program, name, `is ${typeText(type)}, and only f32 and bf16 have gradients`);
    }
    return { name, type, values };
  });
}

function valuesByName(bindings: readonly Binding[]): ReadonlyMap<string, readonly ValueId[]> {
  const values = new Map<string, ValueId[]>();
  for (const { name, value } of bindings) {
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else known.push(value);
  }
  return values;
}

function refuse(program: Program, name: string, problem: string): never {
  throw new EmuError('INVALID_OPTION', `[gradient] "${name}" of ${program.name} ${problem}`, {
    details: { program: program.name, name },
  });
}

function refuseUnknown(program: Program, name: string): never {
  const known = [...program.states, ...program.weights, ...program.inputs].map((binding) => binding.name);
  throw new EmuError('INVALID_OPTION', `[gradient] ${program.name} has no state, weight or input "${name}"`, {
    hint: `It has ${known.length}, among them ${known.slice(0, 5).join(', ')}.`,
    details: { program: program.name, name },
  });
}

/**
 * The value of the output to differentiate.
 * @throws EmuError INVALID_OPTION if there is none of that name or it is not f32[1].
 */
export function lossValue(program: Program, loss: string): ValueId {
  const output = program.outputs.find(({ name }) => name === loss);
  if (output === undefined) {
    throw new EmuError('INVALID_OPTION', `[gradient] ${program.name} has no output "${loss}"`, {
      hint: `Its outputs are ${program.outputs.map(({ name }) => name).join(', ')}.`,
      details: { program: program.name, loss },
    });
  }
  const type = typeText(typeOf(program, output.value));
  if (type !== 'f32[1]') {
    throw new EmuError(
      'INVALID_OPTION',
      `[gradient] loss "${loss}" of ${program.name} is ${type}, needs f32[1]`,
      {
        details: { program: program.name, loss, type },
      },
    );
  }
  return output.value;
}
