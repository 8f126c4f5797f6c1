import {
  byteLength,
  EmuError,
  type Program,
  type Session,
  type TensorType,
  type WeightBinding,
} from '@emu/program';

import type { TensorEntry } from './weights/tensor-source.js';

/** How far a long piece of work is. `etaSeconds` is absent until there is something to judge by. */
export interface Progress {
  readonly phase: string;
  readonly completed: number;
  readonly total: number;
  readonly unit: 'bytes' | 'steps';
  readonly etaSeconds?: number;
}

export type ProgressWatcher = (progress: Progress) => void;

export interface LoadOptions {
  readonly onProgress?: ProgressWatcher | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads the weights that programs name into a session, one tensor after the other, so that memory grows by no more
 * than the model. `tensors` holds them by checkpoint name; `sessionPrefix` and that name are the name in programs.
 * @throws EmuError MODEL_NOT_READY for a weight that no checkpoint has, what the session throws, or `signal.reason`.
 */
export async function loadWeights(
  session: Session,
  phase: string,
  programs: readonly Program[],
  tensors: ReadonlyMap<string, TensorEntry>,
  sessionPrefix: string,
  { onProgress, signal }: LoadOptions,
): Promise<void> {
  const needed = programs.flatMap((program) =>
    program.weights.map((weight) => ({ weight, type: typeOf(program, weight) })),
  );
  const total = needed.reduce((sum, { type }) => sum + byteLength(type), 0);
  const report = progressReporter(phase, total, onProgress);
  let completed = 0;
  report(completed);
  for (const { weight, type } of needed) {
    signal?.throwIfAborted();
    await loadWeight(session, weight, type, tensors.get(weight.name.slice(sessionPrefix.length)));
    completed += byteLength(type);
    report(completed);
  }
}

async function loadWeight(
  session: Session,
  { name, layout }: WeightBinding,
  type: TensorType,
  entry: TensorEntry | undefined,
): Promise<void> {
  if (entry === undefined) {
    throw new EmuError('MODEL_NOT_READY', `[weights] the checkpoint has no tensor "${name}"`, {
      details: { tensor: name },
    });
  }
  const { file: path, byteOffset, dtype, strides } = entry;
  const source = { kind: 'file', path, byteOffset, dtype } as const;
  await session.loadWeight({ name, ...type, layout, source: strides ? { ...source, strides } : source });
}

function typeOf(program: Program, weight: WeightBinding): TensorType {
  const type = program.values[weight.value];
  if (type === undefined)
    throw new EmuError('INTERNAL', `[weights] ${program.name} has no value ${weight.value}`);
  return type;
}

/** Reports at most ten times a second, and always the first and the last. */
function progressReporter(
  phase: string,
  total: number,
  onProgress: ProgressWatcher | undefined,
): (completed: number) => void {
  const start = performance.now();
  let last = -Infinity;
  return (completed) => {
    const now = performance.now();
    if (onProgress === undefined || (completed < total && now - last < 100)) return;
    last = now;
    const rate = completed / Math.max(now - start, 1);
    const eta = completed > 0 ? { etaSeconds: (total - completed) / rate / 1000 } : {};
    onProgress({ phase, completed, total, unit: 'bytes', ...eta });
  };
}
