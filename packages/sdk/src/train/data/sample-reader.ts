import type { Sample, SampleSplit, SampleStream, StreamPosition } from '@emu/data';
import { EmuError, Philox } from '@emu/program';

import type { JsonValue } from '../json-value.js';
import type { MixedSource } from './recipe-sources.js';

/** How the streams of a mix are opened. */
export interface MixOptions {
  readonly seed: number;
  readonly split: SampleSplit;
  readonly workers: number;
}

/** A sample and where its stream stood before it. */
export interface TakenSample {
  readonly sample: Sample;
  readonly textFirst: boolean;
  readonly answersOnly: boolean;
  readonly imagined: boolean;
}

// Streams of random numbers of one recipe seed; no other part of training uses these.
const choiceStream = 0x6d69_7800;
const orderStream = 0x6f72_6400;

/**
 * Samples of one source, one after the other and for ever: a source that ends begins again. The last sample can be put
 * back, which moves the position back too.
 */
export class SampleReader {
  #stream: SampleStream;
  #before: StreamPosition;
  #last: TakenSample | undefined;
  #isBack = false;

  constructor(
    private readonly mixed: MixedSource,
    private readonly options: MixOptions,
    position: StreamPosition | undefined,
  ) {
    this.#stream = this.#open(position);
    this.#before = this.#stream.position();
  }

  get name(): string {
    return this.mixed.source.name;
  }

  /** Whether the source's pictures are imagined. */
  get imagined(): boolean {
    return this.mixed.imagined;
  }

  /** @throws EmuError INVALID_OPTION for a source without any sample. */
  async next(): Promise<TakenSample> {
    if (this.#isBack && this.#last !== undefined) {
      this.#isBack = false;
      return this.#last;
    }
    this.#before = this.#stream.position();
    let result = await this.#stream.next();
    if (result.done === true) {
      await this.#stream.close();
      this.#stream = this.#open(undefined);
      this.#before = this.#stream.position();
      result = await this.#stream.next();
    }
    if (result.done === true) {
      throw new EmuError('INVALID_OPTION', `[train] the source ${this.name} has no samples`, {
        details: { source: this.name, split: this.options.split },
      });
    }
    const sample = result.value;
    const { answersOnly, imagined } = this.mixed;
    this.#last = { sample, textFirst: this.#isTextFirst(sample), answersOnly, imagined };
    return this.#last;
  }

  /** Puts the sample of the last `next` back: the next call gives it again. */
  putBack(): void {
    this.#isBack = this.#last !== undefined;
  }

  /** Where to open a reader that goes on with what `next` would give. */
  position(): StreamPosition {
    return this.#isBack ? this.#before : this.#stream.position();
  }

  close(): Promise<void> {
    return this.#stream.close();
  }

  #open(position: StreamPosition | undefined): SampleStream {
    const { seed, split, workers } = this.options;
    return this.mixed.source.open({ seed, split, position, workers });
  }

  #isTextFirst({ id }: Sample): boolean {
    return chanceOf(id, this.options.seed, orderStream) < this.mixed.textFirst;
  }
}

/** 0..1, drawn from a sample's name, so that it does not matter what was read before. */
export function chanceOf(id: string, seed: number, stream: number): number {
  const key = (BigInt(seed) << 32n) ^ BigInt(hashOf(id));
  return new Philox(BigInt.asUintN(64, key), stream).nextFloat();
}

/** FNV-1a of a text, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

/** Several sources, of which every batch takes one: by their weights, drawn from the seed and the batch's number. */
export class SourceMix {
  readonly #readers: readonly SampleReader[];
  readonly #weights: readonly number[];
  readonly #seed: number;

  constructor(sources: readonly MixedSource[], options: MixOptions, positions: JsonValue | undefined) {
    this.#seed = options.seed;
    this.#weights = sources.map(({ weight }) => weight);
    this.#readers = sources.map(
      (mixed) => new SampleReader(mixed, options, positionOf(positions, mixed.source.name)),
    );
  }

  /** The reader of batch number `batch`. */
  readerOf(batch: number): SampleReader {
    const total = this.#weights.reduce((sum, weight) => sum + weight, 0);
    const seed = BigInt.asUintN(64, (BigInt(this.#seed) << 32n) ^ BigInt(batch));
    let draw = new Philox(seed, choiceStream).nextFloat() * total;
    const index = this.#weights.findIndex((weight) => (draw -= weight) < 0);
    const reader = this.#readers.at(index); // rounding may leave -1: the last
    if (reader === undefined) throw new EmuError('INTERNAL', '[train] a mix without sources');
    return reader;
  }

  /** Positions of all sources by name. */
  positions(): { readonly [name: string]: JsonValue } {
    return Object.fromEntries(this.#readers.map((reader) => [reader.name, reader.position()]));
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()));
  }
}

function positionOf(positions: JsonValue | undefined, name: string): StreamPosition | undefined {
  if (positions === undefined) return undefined;
  if (typeof positions === 'object' && positions !== null && !Array.isArray(positions)) {
    const known = (positions as { readonly [key: string]: JsonValue })[name];
    if (known !== undefined) return known;
  }
  throw new EmuError(
    'INVALID_CONFIG',
    `[train] the checkpoint has no position of the source ${JSON.stringify(name)}`,
    {
      hint: 'Resume with the sources that the run began with, or start a new output_dir.',
      details: { source: name },
    },
  );
}
