// Which calls lie between what is differentiated by and the loss, and what a backward pass may not read again.
import { EmuError } from '../errors.js';
import { definitionOf } from '../ops/index.js';
import type { Block, Call, Program, ValueId } from '../program.js';
import { typeOf } from './replay.js';

/** Indices of the calls through which a change of a value in `sources` may change `loss`. */
export function callsBetween(
  program: Program,
  sources: ReadonlySet<ValueId>,
  loss: ValueId,
): ReadonlySet<number> {
  const depends = new Set(sources);
  const forward = program.calls.map((call) => {
    if (!call.inputs.some((id) => id !== null && depends.has(id))) return false;
    for (const id of call.outputs) if (isFloat(program, id)) depends.add(id);
    return true;
  });
  const reaches = new Set([loss]);
  const between = new Set<number>();
  for (const [index, call] of [...program.calls.entries()].reverse()) {
    if (!call.outputs.some((id) => reaches.has(id))) continue;
    for (const id of call.inputs) if (id !== null) reaches.add(id);
    if (forward[index] === true) between.add(index);
  }
  return between;
}

/** Whether values of this dtype have gradients. */
export function isFloat(program: Program, id: ValueId): boolean {
  const { dtype } = typeOf(program, id);
  return dtype === 'f32' || dtype === 'bf16';
}

/** The outermost block of every call that lies in one, by call index. */
export function outermostBlocks(program: Program): ReadonlyMap<number, Block> {
  const outermost = new Map<number, Block>();
  // A block ends after those inside it, so later ones overwrite.
  for (const block of program.blocks ?? []) {
    for (let index = block.begin; index < block.end; index++) outermost.set(index, block);
  }
  return outermost;
}

/** Values that are made in a block and read outside it, outputs of the program included. */
export function crossingValues(program: Program, blocks: ReadonlyMap<number, Block>): ReadonlySet<ValueId> {
  const home = new Map<ValueId, Block | undefined>();
  const crossing = new Set(program.outputs.map(({ value }) => value));
  for (const [index, call] of program.calls.entries()) {
    const block = blocks.get(index);
    for (const id of call.inputs) if (id !== null && home.get(id) !== block) crossing.add(id);
    for (const id of call.outputs) home.set(id, block);
  }
  return crossing;
}

/**
 * The name of the state that a call reads or is given although some call of the program changes it in place, or null.
 * The backward pass comes after all changes and would read another content than the call did.
 */
export function changedStateReader(program: Program): (call: Call) => string | null {
  const names = new Map(program.states.map(({ name, value }) => [value, name]));
  const changed = new Set<string>();
  for (const call of program.calls) {
    const definition = definitionOf(call.op);
    for (const index of definition.updatesState ?? []) {
      const name = names.get(call.inputs[index] ?? -1);
      if (name !== undefined) changed.add(name);
    }
    const memory = definition.aliasesInput ? names.get(call.inputs[0] ?? -1) : undefined;
    const [output] = call.outputs;
    if (memory !== undefined && output !== undefined) names.set(output, memory);
  }
  return (call) => {
    const read = call.inputs.map((id) => names.get(id ?? -1));
    return read.find((name) => name !== undefined && changed.has(name)) ?? null;
  };
}

/** Throws INVALID_OPTION for a call that works on a state which the program changes in place. */
export function refuseChangedState(program: Program, call: Call, state: string): never {
  throw new EmuError(
    'INVALID_OPTION',
    `[gradient] ${call.op} in ${program.name} works on state "${state}", which the program changes in place: ` +
      'the backward pass would find other contents than the forward pass did',
    { hint: 'Differentiate a program that leaves the state alone.', details: { op: call.op, state } },
  );
}
