import { philoxBlock } from '@emu/program';

import type { JsonValue } from '../json-value.js';
import type { BatchStream, TrainingBatch } from '../task.js';
import type { MixedSource } from './recipe-sources.js';
import { SourceMix, type MixOptions, type SampleReader } from './sample-reader.js';

/** Makes batch number `batch` of a run from the samples of one source. Everything else it needs follows from the number. */
export type BatchMaker = (reader: SampleReader, batch: number) => Promise<TrainingBatch>;

/** The batches of a recipe's sources, each from one of them; ends after `limit` batches. */
export function mixedStream(
  sources: readonly MixedSource[],
  options: MixOptions,
  make: BatchMaker,
  from: JsonValue | null,
  limit = Infinity,
): BatchStream {
  const start = startOf(from);
  const mix = new SourceMix(sources, options, start.positions);
  let batch = start.batch;
  return {
    async next() {
      if (batch >= limit) return undefined;
      const made = await make(mix.readerOf(batch), batch);
      batch += 1;
      return made;
    },
    position: () => ({ batch, sources: mix.positions() }),
    close: () => mix.close(),
  };
}

function startOf(from: JsonValue | null): {
  readonly batch: number;
  readonly positions: JsonValue | undefined;
} {
  if (typeof from !== 'object' || from === null || Array.isArray(from))
    return { batch: 0, positions: undefined };
  const { batch, sources } = from as { readonly [key: string]: JsonValue };
  return { batch: typeof batch === 'number' ? batch : 0, positions: sources };
}

/** Key of a batch's random numbers, two words; `purpose` keeps apart what one batch draws several times. */
export function batchKey(seed: number, batch: number, purpose: number): readonly [number, number] {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
  const [low, high] = philoxBlock([batch >>> 0, Math.floor(batch / 2 ** 32), purpose, 0x62617463], key);
  return [low, high];
}

/** The same as a seed of 64 bits. */
export function batchSeed(seed: number, batch: number, purpose: number): bigint {
  const [low, high] = batchKey(seed, batch, purpose);
  return (BigInt(high) << 32n) | BigInt(low);
}

/** `pairs drawn/train/0/17 .. drawn/train/0/44`: names the samples of a batch. */
export function batchLabel(reader: SampleReader, ids: readonly string[]): string {
  const [first = 'none'] = ids;
  const last = ids.at(-1) ?? first;
  return first === last ? `${reader.name} ${first}` : `${reader.name} ${first} .. ${last}`;
}
