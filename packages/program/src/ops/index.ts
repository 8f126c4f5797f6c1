// The op list. An op's C++ home is the folder of the same name in cpp/ops; a test compares the two lists.
import { EmuError } from '../errors.js';
import type { OpDefinition } from '../op.js';
import { linearOp } from './linear.js';

const definitions: ReadonlyMap<string, OpDefinition> = new Map([linearOp].map((op) => [op.name, op]));

/** @throws EmuError INVALID_OPTION for a name that is not in the op list. */
export function definitionOf(name: string): OpDefinition {
  const definition = definitions.get(name);
  if (definition === undefined) {
    throw new EmuError('INVALID_OPTION', `[program] no op is called "${name}"`, {
      hint: `The ops are ${[...definitions.keys()].join(', ')}.`,
      details: { op: name },
    });
  }
  return definition;
}

/** Names of all ops, in the order of the list. */
export function opNames(): readonly string[] {
  return [...definitions.keys()];
}

export * from './activation-kind.js';
export * from './linear.js';
