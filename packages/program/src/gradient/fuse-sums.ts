// Products that are only added to a state are added by the call that makes them.
import type { Call, Program, ValueId } from '../program.js';
import { readersOf } from './readers.js';

/**
 * The same program with every `matmul` whose one reader adds it to a state as part of that reader: the gradient of a
 * weight is then never a value beside the sum that it goes into.
 */
export function fuseSums(program: Program): Program {
  const readers = readersOf(program);
  const results = new Set(program.outputs.map(({ value }) => value));
  const products = new Map<ValueId, Call>();
  for (const call of program.calls) {
    const [output] = call.outputs;
    if (call.op !== 'matmul' || output === undefined || results.has(output)) continue;
    if (readers.get(output)?.length === 1) products.set(output, call);
  }
  const fused = new Set<Call>();
  const calls = program.calls.map((call) => {
    const product = addsAsItIs(call) ? products.get(call.inputs[1] ?? -1) : undefined;
    if (product === undefined) return call;
    fused.add(product);
    const inputs = [call.inputs[0] ?? null, ...product.inputs];
    return { op: 'accumulateMatmul', inputs, attributes: product.attributes, outputs: call.outputs };
  });
  return { ...program, calls: calls.filter((call) => !fused.has(call)) };
}

function addsAsItIs({ op, attributes }: Call): boolean {
  return op === 'accumulate' && attributes['keep'] === 1 && attributes['factor'] === 1;
}
