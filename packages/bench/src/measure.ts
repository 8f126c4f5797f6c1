import {
  allocate,
  elementCount,
  Philox,
  type Backend,
  type DType,
  type Executable,
  type Program,
  type Session,
  type TensorData,
} from '@emu/program';

import type { BenchCase } from './bench-case.js';

const blockLength = 1 << 20;
const mostTimings = 40;
const leastTimings = 3;
const budgetMs = 4000;

/** A case of ours, made ready: weights loaded, program compiled, inputs drawn. */
export interface PreparedCase {
  /** Best seconds of one run, of a few timings. */
  measure(): Promise<number>;
  dispose(): Promise<void>;
}

/** Loads a case with random weights. Every buffer is written: memory that never was costs no bandwidth to read. */
export async function prepareCase(benchCase: BenchCase, backend: Backend): Promise<PreparedCase> {
  const { work } = benchCase;
  const program = benchCase.program();
  const session = backend.openSession();
  await loadRandomWeights(session, program);
  const executable = session.compile(program);
  const inputs = { ...randomInputs(program), ...benchCase.inputs?.() };
  const outputs = Object.fromEntries(
    program.outputs.map(({ name, value }) => {
      const type = program.values[value] ?? { shape: [], dtype: 'f32' as const };
      return [name, allocate(type.dtype, elementCount(type.shape))];
    }),
  );
  return {
    measure: () => bestSeconds(executable, inputs, outputs, work.kind === 'call' ? work.runs : 1),
    dispose: () => session.dispose(),
  };
}

/** `runs`: how many runs in a row one timing covers. */
async function bestSeconds(
  executable: Executable,
  inputs: Readonly<Record<string, TensorData>>,
  outputs: Readonly<Record<string, TensorData>>,
  runs: number,
): Promise<number> {
  const options = { outputs };
  await executable.run(inputs, options);
  let best = Infinity;
  const start = performance.now();
  for (let timing = 0; timing < mostTimings; timing++) {
    const before = performance.now();
    for (let run = 0; run < runs; run++) await executable.run(inputs, options);
    best = Math.min(best, performance.now() - before);
    if (timing + 1 >= leastTimings && performance.now() - start > budgetMs) break;
  }
  return best / 1000 / runs;
}

async function loadRandomWeights(session: Session, program: Program): Promise<void> {
  const block = randomBlock();
  for (const { name, value, layout } of program.weights) {
    const type = program.values[value];
    if (type === undefined) continue;
    const data = new Float32Array(elementCount(type.shape));
    for (let at = 0; at < data.length; at += blockLength) {
      data.set(block.subarray(0, Math.min(blockLength, data.length - at)), at);
    }
    await session.loadWeight({ name, ...type, layout, source: { kind: 'data', dtype: 'f32', data } });
  }
  for (const { name, value } of program.states) {
    const type = program.values[value];
    if (type !== undefined) session.createState(name, type.shape, type.dtype);
  }
}

function randomInputs(program: Program): Record<string, TensorData> {
  const block = randomBlock();
  return Object.fromEntries(
    program.inputs.map(({ name, value }) => {
      const type = program.values[value] ?? { shape: [], dtype: 'f32' as DType };
      const data = allocate(type.dtype, elementCount(type.shape));
      if (data instanceof Float32Array) data.forEach((_, i) => (data[i] = block[i % blockLength] ?? 0));
      return [name, data];
    }),
  );
}

let drawn: Float32Array | undefined;

// Small, so that forty layers of random products neither grow nor vanish into denormals.
function randomBlock(): Float32Array {
  const random = new Philox(7);
  drawn ??= Float32Array.from({ length: blockLength }, () => 0.02 * random.nextNormal());
  return drawn;
}
