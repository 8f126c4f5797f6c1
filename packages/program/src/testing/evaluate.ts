import { ReferenceBackend } from '../reference.js';
import type { TensorData } from '../tensor.js';
import { trace, type Tracer, type Value } from '../trace.js';
import { runCase } from './op-case.js';

const exact = { absolute: 0, relative: 0, reason: 'not compared' };

/** Traces `build`, runs it in the reference executor and returns the value it returned. */
export async function evaluate(
  build: (tracer: Tracer) => Value,
  inputs: Readonly<Record<string, TensorData>>,
): Promise<TensorData> {
  const program = trace('evaluate', (t) => {
    t.output('y', build(t));
  });
  const outputs = await runCase(new ReferenceBackend(), {
    name: program.name,
    op: program.calls.at(-1)?.op ?? '',
    program,
    inputs,
    weights: {},
    tolerance: exact,
  });
  return outputs['y'] as TensorData;
}

/** Traces `build`, for tests of what an op refuses. */
export function tracing(build: (tracer: Tracer) => Value): () => void {
  return () =>
    void trace('refused', (t) => {
      t.output('y', build(t));
    });
}
