// One table runs every op of a backend against the reference executor: dtypes, awkward sizes, misaligned buffers,
// bit equality of rows and threads, and indices that must be refused.
import type { Backend, Session } from '../backend.js';
import { EmuError } from '../errors.js';
import { ReferenceBackend } from '../reference.js';
import { elementCount, type TensorData, type TensorType } from '../tensor.js';
import { trace } from '../trace.js';
import { attentionFamilyCases } from './parity/attention.js';
import type { CaseMaker } from './parity/case-list.js';
import { elementCases } from './parity/elements.js';
import { moveCases } from './parity/moves.js';
import { normCases, normGradientCases } from './parity/norms.js';
import { productCases } from './parity/products.js';
import { programCases } from './parity/programs.js';
import { refusals, type Refusal } from './parity/refusals.js';
import { batchRows, rowFamilies, type RowFamily } from './parity/row-families.js';
import { threadCases } from './parity/threads.js';
import { trainingCases, trainingThreadCases } from './parity/training.js';
import { compare, openCase, runCase, type OpCase } from './op-case.js';

/** One line of the table. `op` is what it tests, `program` for whole programs; names are unique. */
export type ParityCase = { readonly name: string; readonly op: string } & (
  | { readonly kind: 'reference'; readonly opCase: OpCase }
  | { readonly kind: 'threads'; readonly opCase: OpCase }
  | { readonly kind: 'rows'; readonly family: RowFamily; readonly seed: number }
  | { readonly kind: 'refusal'; readonly refusal: Refusal; readonly seed: number }
);

export interface ParityOptions {
  /** Draws the inputs; the same seed gives the same table. */
  readonly seed: number;
  /** Only cases of these ops; all by default. */
  readonly ops?: readonly string[];
}

/** Every case of the table. Inputs are drawn when a case is reached. */
export function* parityCases(options: ParityOptions): Generator<ParityCase> {
  const { seed } = options;
  const chosen = (op: string): boolean => options.ops === undefined || options.ops.includes(op);
  function* made(kind: 'reference' | 'threads', makers: Iterable<CaseMaker>): Generator<ParityCase> {
    for (const make of makers) {
      const opCase = make(seed);
      if (chosen(opCase.op)) yield { kind, name: opCase.name, op: opCase.op, opCase };
    }
  }
  yield* made('reference', productCases());
  yield* made('reference', attentionFamilyCases());
  yield* made('reference', normCases());
  yield* made('reference', normGradientCases());
  yield* made('reference', elementCases());
  yield* made('reference', moveCases());
  yield* made('reference', trainingCases());
  yield* made('reference', programCases());
  for (const family of rowFamilies()) {
    if (chosen(family.op)) yield { kind: 'rows', name: family.name, op: family.op, family, seed };
  }
  yield* made('threads', threadCases());
  yield* made('threads', trainingThreadCases());
  for (const refusal of refusals()) {
    if (chosen(refusal.op)) yield { kind: 'refusal', name: refusal.name, op: refusal.op, refusal, seed };
  }
}

/** What came of one case. */
export interface ParityResult {
  /** Largest error as a fraction of the tolerance; 0 where bits were compared. */
  readonly worst: number;
  /** One sentence for everything that is wrong; empty when all is well. */
  readonly problems: readonly string[];
}

/**
 * Runs one case on a backend:
 * - `reference`: agrees with the reference executor within the case's tolerance on one thread; the same bits come
 *   from two threads with misaligned input and output buffers.
 * - `threads`: the same bits from 1, 2 and 3 threads.
 * - `rows`: a row alone, in a batch of 8 and in a batch of 32 has the same bits.
 * - `refusal`: the run ends in INVALID_OPTION naming op, row and value, and no state has changed.
 */
export function runParity(backend: Backend, parityCase: ParityCase): Promise<ParityResult> {
  switch (parityCase.kind) {
    case 'reference':
      return againstReference(backend, parityCase.opCase);
    case 'threads':
      return acrossThreads(backend, parityCase.opCase);
    case 'rows':
      return acrossBatches(backend, parityCase.family, parityCase.seed);
    case 'refusal':
      return refused(backend, parityCase.refusal, parityCase.seed);
  }
}

type Outputs = Readonly<Record<string, TensorData>>;

async function againstReference(backend: Backend, opCase: OpCase): Promise<ParityResult> {
  const expected = await runCase(new ReferenceBackend(), opCase);
  const single = await runCase(backend, opCase, { threads: 1 });
  const problems: string[] = [];
  let worst = 0;
  for (const { name, value } of opCase.program.outputs) {
    const type = opCase.program.values[value] as TensorType;
    const tensor = { ...type, data: expected[name] as TensorData };
    const comparison = compare(name, single[name], tensor, opCase.tolerance);
    worst = Math.max(worst, comparison.worst);
    if (comparison.problem !== null) problems.push(comparison.problem);
  }
  const misaligned = await runCase(backend, misalign(opCase), { threads: 2 });
  problems.push(...differences(opCase, single, misaligned, 'two threads, misaligned buffers'));
  return { worst, problems };
}

async function acrossThreads(backend: Backend, opCase: OpCase): Promise<ParityResult> {
  const single = await runCase(backend, opCase, { threads: 1 });
  const problems: string[] = [];
  for (const threads of [2, 3]) {
    const several = await runCase(backend, opCase, { threads });
    problems.push(...differences(opCase, single, several, `${threads} threads`));
  }
  return { worst: 0, problems };
}

async function acrossBatches(backend: Backend, family: RowFamily, seed: number): Promise<ParityResult> {
  const every = Array.from({ length: batchRows }, (_, row) => row);
  const batches = [[0], [5], [31], every.slice(0, 8), every.slice(20, 28)];
  const whole = await output(backend, family.make(seed, every));
  const width = whole.length / batchRows;
  const problems: string[] = [];
  for (const rows of batches) {
    const part = await output(backend, family.make(seed, rows));
    for (const [index, row] of rows.entries()) {
      const [alone, among] = [slice(part, index, width), slice(whole, row, width)];
      const at = firstDifference(alone, among);
      if (at === null) continue;
      problems.push(
        `row ${row} among ${rows.length} differs from the same row among ${batchRows} at element ${at}: ` +
          `${alone[at]} and ${among[at]}`,
      );
    }
  }
  return { worst: 0, problems };
}

async function refused(backend: Backend, refusal: Refusal, seed: number): Promise<ParityResult> {
  const { op, row, value } = refusal;
  const opCase = refusal.make(seed);
  const session = await openCase(backend, opCase);
  try {
    const executable = session.compile(opCase.program);
    const error: unknown = await executable.run(opCase.inputs).then(
      () => null,
      (reason: unknown) => reason,
    );
    if (error === null) return { worst: 0, problems: [`${value} at row ${row} was accepted`] };
    if (!EmuError.isInstance(error))
      return { worst: 0, problems: [`not an EmuError: ${EmuError.from(error).message}`] };
    const problems: string[] = [];
    if (error.code !== 'INVALID_OPTION') problems.push(`code ${error.code} is not INVALID_OPTION`);
    for (const part of [`[${op}]`, String(value), `row ${row}`]) {
      if (!error.message.includes(part)) problems.push(`"${error.message}" does not say "${part}"`);
    }
    problems.push(...(await changedStates(session, opCase)));
    return { worst: 0, problems };
  } finally {
    await session.dispose();
  }
}

/** One sentence for each state that is no longer zeros; the session has to be of use after a refused run. */
async function changedStates(session: Session, { program }: OpCase): Promise<string[]> {
  if (program.states.length === 0) return [];
  const look = trace('look', (t) => {
    for (const { name, value } of program.states) {
      const { shape, dtype } = program.values[value] as TensorType;
      t.output(name, t.state(name, shape, dtype));
    }
  });
  const states = await session.compile(look).run({});
  return Object.entries(states).flatMap(([name, data]) =>
    data.some((element: number | bigint) => element !== 0) ? [`the refused run changed ${name}`] : [],
  );
}

async function output(backend: Backend, opCase: OpCase): Promise<TensorData> {
  const outputs = await runCase(backend, opCase);
  return outputs['y'] as TensorData;
}

function slice(data: TensorData, row: number, width: number): TensorData {
  return data.slice(row * width, (row + 1) * width);
}

/** The same case with every buffer one element beyond an aligned address. */
function misalign(opCase: OpCase): OpCase {
  const moved = <Data extends TensorData>(data: Data): Data => {
    const bytes = new Uint8Array(data.byteLength + data.BYTES_PER_ELEMENT);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), data.BYTES_PER_ELEMENT);
    const Type = data.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => Data;
    return new Type(bytes.buffer, data.BYTES_PER_ELEMENT, data.length);
  };
  const inputs = Object.entries(opCase.inputs).map(([name, data]) => [name, moved(data)] as const);
  const outputs = opCase.program.outputs.map(({ name, value }) => {
    const type = opCase.program.values[value] as TensorType;
    return [name, moved(emptyOutput(type))] as const;
  });
  return { ...opCase, inputs: Object.fromEntries(inputs), outputs: Object.fromEntries(outputs) };
}

function emptyOutput(type: TensorType): TensorData {
  const count = elementCount(type.shape);
  if (type.dtype === 'bf16') return new Uint16Array(count).fill(0x7fc0);
  if (type.dtype === 'f32') return new Float32Array(count).fill(NaN);
  throw new Error(`no output of the table is ${type.dtype}`);
}

/** One sentence for each output whose bits differ. */
function differences(opCase: OpCase, one: Outputs, other: Outputs, how: string): string[] {
  return opCase.program.outputs.flatMap(({ name }) => {
    const [a, b] = [one[name], other[name]];
    if (a === undefined || b === undefined) return [`${name} is missing with ${how}`];
    const at = firstDifference(a, b);
    return at === null ? [] : [`${name} differs with ${how} at element ${at}: ${a[at]} and ${b[at]}`];
  });
}

/** Index of the first element whose bits differ. */
function firstDifference(a: TensorData, b: TensorData): number | null {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  const [left, right] = [a, b].map((data) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const at = left?.findIndex((byte, index) => byte !== right?.[index]) ?? -1;
  return at < 0 ? null : Math.floor(at / a.BYTES_PER_ELEMENT);
}
