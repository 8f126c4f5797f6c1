import type { Call, Program, ValueId } from '../program.js';

/** The calls that read each value, in their order; a call stands there once for every input that is the value. */
export function readersOf(program: Program): ReadonlyMap<ValueId, readonly Call[]> {
  const readers = new Map<ValueId, Call[]>();
  for (const call of program.calls) {
    for (const id of call.inputs) {
      if (id === null) continue;
      const known = readers.get(id);
      if (known === undefined) readers.set(id, [call]);
      else known.push(call);
    }
  }
  return readers;
}
