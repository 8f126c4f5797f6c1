// A case is a small program together with everything it needs to run on any backend.
import type { Backend, Session, SessionOptions } from '../backend.js';
import type { Program } from '../program.js';
import {
  bf16ToNumber,
  typeText,
  type Shape,
  type Tensor,
  type TensorData,
  type TensorType,
} from '../tensor.js';

/** An element may be off by absolute + relative · |expected|; the reason says where that comes from. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
  readonly reason: string;
}

export interface OpCase {
  readonly name: string;
  /** The op that is tested; other calls of the program only prepare its inputs. */
  readonly op: string;
  readonly program: Program;
  readonly inputs: Readonly<Record<string, TensorData>>;
  /** By the names of the program's weights. */
  readonly weights: Readonly<Record<string, Tensor>>;
  readonly tolerance: Tolerance;
  /** Buffers for the outputs; without them the backend allocates. */
  readonly outputs?: Readonly<Record<string, TensorData>>;
}

/** Opens a session with the weights of a case and zeroed states; the caller disposes it. */
export async function openCase(
  backend: Backend,
  opCase: OpCase,
  options: SessionOptions = {},
): Promise<Session> {
  const { program } = opCase;
  const session = backend.openSession(options);
  try {
    for (const { name, layout } of program.weights) {
      const tensor = opCase.weights[name];
      if (tensor === undefined) throw new Error(`case ${opCase.name} has no weight "${name}"`);
      const { shape, dtype, data } = tensor;
      await session.loadWeight({ name, shape, dtype, layout, source: { kind: 'data', dtype, data } });
    }
    for (const { name, value } of program.states) {
      const { shape, dtype } = program.values[value] as TensorType;
      session.createState(name, shape, dtype);
    }
    return session;
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

/** Runs the program of a case once in a session of its own. */
export async function runCase(
  backend: Backend,
  opCase: OpCase,
  options: SessionOptions = {},
): Promise<Readonly<Record<string, TensorData>>> {
  const session = await openCase(backend, opCase, options);
  try {
    const outputs = opCase.outputs === undefined ? {} : { outputs: opCase.outputs };
    return await session.compile(opCase.program).run(opCase.inputs, outputs);
  } finally {
    await session.dispose();
  }
}

/** How far a result is from what was expected. */
export interface Comparison {
  /** Largest error as a fraction of what the tolerance allows; at most 1 when all is well, NaN for a stray NaN. */
  readonly worst: number;
  /** One sentence about the worst element when it is out of tolerance, else null. */
  readonly problem: string | null;
}

/** Compares an output with the expected tensor, element by element. Equal infinities and two NaN agree. */
export function compare(
  label: string,
  got: TensorData | undefined,
  expected: Tensor,
  tolerance: Tolerance,
): Comparison {
  if (got === undefined) return { worst: Infinity, problem: `${label} is missing` };
  if (got.constructor !== expected.data.constructor || got.length !== expected.data.length) {
    const came = `a ${got.constructor.name} of ${got.length}`;
    return { worst: Infinity, problem: `${label} is ${came}, expected ${typeText(expected)}` };
  }
  let worst = 0;
  let worstAt = -1;
  for (let at = 0; at < got.length; at++) {
    const [ours, theirs] = [numberAt(got, at), numberAt(expected.data, at)];
    if (Object.is(ours, theirs) || ours === theirs) continue;
    const allowed = tolerance.absolute + tolerance.relative * Math.abs(theirs);
    const ratio = Math.abs(ours - theirs) / allowed;
    if (!(ratio <= worst)) [worst, worstAt] = [Number.isNaN(ratio) ? Infinity : ratio, at];
  }
  if (worst <= 1) return { worst, problem: null };
  const place = placeText(expected.shape, worstAt);
  const values = `${numberAt(got, worstAt)}, expected ${numberAt(expected.data, worstAt)}`;
  const allowed = `absolute ${tolerance.absolute}, relative ${tolerance.relative}: ${tolerance.reason}`;
  return { worst, problem: `${label}${place} is ${values} (${worst.toPrecision(3)} of ${allowed})` };
}

function numberAt(data: TensorData, index: number): number {
  const value = data[index] as number | bigint;
  return data instanceof Uint16Array ? bf16ToNumber(value as number) : Number(value);
}

/** `[1,0,7]` for a flat index. */
export function placeText(shape: Shape, flat: number): string {
  const place: number[] = [];
  let rest = flat;
  for (const side of shape.toReversed()) {
    place.unshift(rest % side);
    rest = Math.floor(rest / side);
  }
  return `[${place.join(',')}]`;
}
