import { existsSync } from 'node:fs';

import { DataError } from '../errors.js';
import { Random } from '../random.js';
import type { OpenOptions, Sample, SampleSource, SampleStream, StreamPosition } from '../sample.js';
import { expandShards } from './shard-names.js';
import { shardSample, type ImageDecoder } from './shard-sample.js';
import { missingShard, tarSamples, type ShardEntry } from './tar-samples.js';

/** What a source of shards consists of. */
export interface ShardsOptions {
  /** Names the source in samples, positions and logs. */
  readonly name: string;
  /** Tar files to train on: `data/train-{000000..000123}.tar`, or one path. */
  readonly train: string;
  /** Tar files that training never reads, for the split `evaluation`. */
  readonly evaluation?: string;
  readonly decode: ImageDecoder;
}

interface ShardPosition {
  /** Number of the shard in the order of the stream. */
  readonly shard: number;
  /** Number of the sample in the shard. */
  readonly sample: number;
}

/** Pictures that are decoded ahead, beside each other, unless `ahead` says otherwise. */
const defaultAhead = 8;

/**
 * Samples in tar files as WebDataset lays them out: consecutive files with one basename are a sample. The order of the
 * shards is drawn from the seed, samples come in the order of their shard, and the stream ends after the last one.
 * Pictures are decoded ahead of the reader. Its positions are `{ shard, sample }`.
 * @throws DataError INVALID_OPTION for a pattern that names no shards. `open` throws MEDIA_NOT_FOUND for the first shard
 * that is not there; `next` rejects with DATA_CORRUPT naming shard and sample.
 */
export function shards({ name, train, evaluation, decode }: ShardsOptions): SampleSource {
  const paths = { train: expandShards(train), evaluation: evaluation && expandShards(evaluation) };
  return {
    name,
    open(options) {
      const { split, seed } = options;
      const chosen = split === 'held-out' ? undefined : paths[split];
      if (!chosen) {
        throw new DataError(
          'INVALID_OPTION',
          `[shards] the source '${name}' has no shards of split ${split}`,
          {
            hint: 'Give it shards of its own for evaluation, or set eval_steps to 0.',
            details: { source: name, split },
          },
        );
      }
      const missing = chosen.find((path) => !existsSync(path));
      if (missing !== undefined) throw missingShard(missing);
      const order = new Random(seed, 0, `shards/${name}`).shuffled(chosen);
      return new ShardStream(name, order, decode, options);
    },
  };
}

interface Made {
  readonly sample: Promise<Sample>;
  readonly position: ShardPosition;
}

class ShardStream implements SampleStream {
  readonly #entries: AsyncGenerator<Omit<Made, 'sample'> & { readonly entry: ShardEntry }, void>;
  readonly #ahead: number;
  readonly #made: Made[] = [];
  /** Where the first sample that is not in `#made` lies, once the shards are at their end. */
  #position: ShardPosition;
  #hasEnded = false;
  #isClosed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly name: string,
    private readonly order: readonly string[],
    private readonly decode: ImageDecoder,
    options: OpenOptions,
  ) {
    this.#position = checkedPosition(name, options.position);
    this.#ahead = options.ahead ?? defaultAhead;
    this.#entries = entriesFrom(order, this.#position);
  }

  next(): Promise<IteratorResult<Sample, undefined>> {
    // Calls that overlap get different samples, in the order of the calls.
    const take = () => this.#take();
    const taken = this.#last.then(take, take);
    this.#last = taken;
    return taken;
  }

  position(): StreamPosition {
    return { ...this.#position };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#made.length = 0;
    await this.#last.catch(() => undefined);
    await this.#entries.return();
  }

  [Symbol.asyncIterator](): AsyncIterator<Sample, undefined> {
    return {
      next: () => this.next(),
      return: () => this.close().then(() => ({ done: true as const, value: undefined })),
    };
  }

  async #take(): Promise<IteratorResult<Sample, undefined>> {
    await this.#fill();
    const [made] = this.#made;
    if (this.#isClosed || made === undefined) {
      if (this.#hasEnded) this.#position = { shard: this.order.length, sample: 0 };
      return { done: true, value: undefined };
    }
    const sample = await made.sample;
    // A sample that failed stays the next one: whoever resumes here meets it again.
    this.#made.shift();
    this.#position = { shard: made.position.shard, sample: made.position.sample + 1 };
    return { done: false, value: sample };
  }

  async #fill(): Promise<void> {
    while (!this.#hasEnded && !this.#isClosed && this.#made.length < this.#ahead) {
      const { value, done } = await this.#entries.next();
      if (done === true) {
        this.#hasEnded = true;
        return;
      }
      const sample = shardSample(this.name, value.entry, this.decode);
      // Reported when it is taken; until then it is nobody's unhandled failure.
      sample.catch(() => undefined);
      this.#made.push({ sample, position: value.position });
    }
  }
}

async function* entriesFrom(order: readonly string[], from: ShardPosition) {
  for (let shard = from.shard; shard < order.length; shard++) {
    let sample = shard === from.shard ? from.sample : 0;
    for await (const entry of tarSamples(order[shard] ?? '', sample)) {
      yield { entry, position: { shard, sample } };
      sample++;
    }
  }
}

function checkedPosition(name: string, position: StreamPosition | undefined): ShardPosition {
  if (position === undefined) return { shard: 0, sample: 0 };
  if (typeof position === 'object' && position !== null && 'shard' in position && 'sample' in position) {
    const { shard, sample } = position;
    if (isCount(shard) && isCount(sample)) return { shard, sample };
  }
  throw new DataError(
    'INVALID_OPTION',
    `[shards] a position of '${name}' is {"shard": number, "sample": number}, got ${JSON.stringify(position)}`,
    { hint: 'Pass what position() of a stream of this source returned.', details: { position } },
  );
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
