import type { Backend, TensorData } from '@emu/program';

import type { LlamaConfig } from '../models/config.js';
import { cacheStates, decoderProgram, type CacheConfig, type DecoderOptions } from '../models/decoder.js';
import { referenceTensor } from './reference-data.js';
import { checkpointSession, type ReferenceCheckpoint } from './reference-model.js';

/* The language model on a reference checkpoint, for tests: rows in, outputs out. */

export const imageToken = 32003;

/** One row of a flat batch. */
export interface Row {
  readonly id: number;
  readonly slot: number;
  readonly position: number;
  /** Stands in for the token's embedding. */
  readonly embedding?: Float32Array;
}

/** Rows of a prompt in a slot; its <image> tokens take the rows of `visual` [n,width] in order. */
export function promptRows(
  ids: readonly number[],
  slot: number,
  visual: Float32Array,
  width: number,
): readonly Row[] {
  let taken = 0;
  return ids.map((id, position) => {
    if (id !== imageToken) return { id, slot, position };
    const embedding = visual.subarray(taken * width, (taken + 1) * width);
    taken++;
    return { id, slot, position, embedding };
  });
}

// Pages smaller than any prompt and out of order, so that sequences cross pages that do not follow one another.
const cache: CacheConfig = { slots: 2, pages: 32, pageSize: 5, pagesPerSlot: 16, cacheDtype: 'f32' };
const pageTable = Int32Array.from({ length: 32 }, (_, index) => (index * 7 + 3) % 32);

type RunOptions = Pick<DecoderOptions, 'outputs' | 'stages' | 'precision'>;

/** A session whose cache is kept from run to run. */
export interface ReferenceDecoder {
  /** `wanted`: the rows to return results of. `target` only with `losses`. */
  run(
    rows: readonly Row[],
    wanted: readonly number[],
    options: RunOptions,
    target?: Int32Array,
  ): Promise<Record<string, TensorData>>;
  dispose(): Promise<void>;
}

export async function openReferenceDecoder(
  backend: Backend,
  config: LlamaConfig,
  checkpoint: ReferenceCheckpoint,
  precision: 'f32' | 'bf16' = 'f32',
): Promise<ReferenceDecoder> {
  const matrices = { precision: { matrices: precision } };
  const everything = {
    ...cache,
    ...matrices,
    rows: 1,
    logitRows: 1,
    outputs: ['logits', 'regressed'],
  } as const;
  const session = await checkpointSession(backend, decoderProgram(config, everything), checkpoint);
  for (const { name, shape, dtype } of cacheStates(config, cache)) session.createState(name, shape, dtype);
  return {
    run(rows, wanted, options, target) {
      const visualRows = rows.filter(({ embedding }) => embedding !== undefined).length;
      const shape = { rows: rows.length, visualRows, logitRows: wanted.length };
      const program = decoderProgram(config, { ...cache, ...matrices, ...shape, ...options });
      return session.compile(program).run({
        ...rowInputs(rows),
        ...(options.outputs === undefined ? {} : { logitIndex: Int32Array.from(wanted) }),
        ...(target === undefined ? {} : { target }),
      });
    },
    dispose: () => session.dispose(),
  };
}

function rowInputs(rows: readonly Row[]): Record<string, TensorData> {
  const visualTarget = rows.flatMap(({ embedding }, row) => (embedding === undefined ? [] : [row]));
  const visual = Float32Array.from(rows.flatMap(({ embedding }) => [...(embedding ?? [])]));
  return {
    ids: Int32Array.from(rows, ({ id }) => id),
    slot: Int32Array.from(rows, ({ slot }) => slot),
    position: Int32Array.from(rows, ({ position }) => position),
    pageTable,
    ...(visualTarget.length === 0 ? {} : { visual, visualTarget: Int32Array.from(visualTarget) }),
  };
}

/** An integer golden as numbers. */
export function goldenIds(file: string, name: string): readonly number[] {
  return Array.from(referenceTensor(`goldens/${file}`, name).data, Number);
}

/** Rows of a padded batch [B,T] without their padding. */
export function unpaddedIds(file: string, name: string, mask: string): readonly (readonly number[])[] {
  const { shape } = referenceTensor(`goldens/${file}`, name);
  const [batch, length] = shape as [number, number];
  const ids = goldenIds(file, name);
  const kept = goldenIds(file, mask);
  return Array.from({ length: batch }, (_, row) =>
    ids.slice(row * length, (row + 1) * length).filter((_id, at) => kept[row * length + at] === 1),
  );
}
