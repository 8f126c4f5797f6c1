import { definitionOf } from '../ops/index.js';
import type { Binding, Call, Program, ValueId } from '../program.js';

/**
 * The same program without calls that neither lead to an output nor change a state. Inputs and states stay, since
 * callers bind them by name; a weight keeps those of its layouts that are still read, or one.
 */
export function prune(program: Program): Program {
  const calls = liveCalls(program);
  const read = new Set([
    ...calls.flatMap(({ inputs }) => inputs),
    ...program.outputs.map(({ value }) => value),
  ]);
  const readNames = new Set(program.weights.filter(({ value }) => read.has(value)).map(({ name }) => name));
  const seen = new Set<string>();
  const weights = program.weights.filter(({ name, value }) => {
    const isFirst = !seen.has(name);
    seen.add(name);
    return readNames.has(name) ? read.has(value) : isFirst;
  });

  const ids = new Map<ValueId, ValueId>();
  const declared: readonly Binding[] = [...program.inputs, ...weights, ...program.states];
  for (const { value } of declared) ids.set(value, ids.size);
  for (const { outputs } of calls) for (const id of outputs) ids.set(id, ids.size);
  const renamed = (id: ValueId): ValueId => ids.get(id) ?? id;
  const renamedBinding = <T extends Binding>(binding: T): T => ({
    ...binding,
    value: renamed(binding.value),
  });
  return {
    name: program.name,
    values: [...ids.keys()].flatMap((id) => program.values[id] ?? []),
    inputs: program.inputs.map(renamedBinding),
    weights: weights.map(renamedBinding),
    states: program.states.map(renamedBinding),
    calls: calls.map((call) => ({
      ...call,
      inputs: call.inputs.map((id) => (id === null ? null : renamed(id))),
      outputs: call.outputs.map(renamed),
    })),
    outputs: program.outputs.map(renamedBinding),
  };
}

function liveCalls(program: Program): readonly Call[] {
  const needed = new Set(program.outputs.map(({ value }) => value));
  const live = program.calls.toReversed().filter((call) => {
    const changesState = (definitionOf(call.op).updatesState ?? []).length > 0;
    if (!changesState && !call.outputs.some((id) => needed.has(id))) return false;
    for (const id of call.inputs) if (id !== null) needed.add(id);
    return true;
  });
  return live.reverse();
}
