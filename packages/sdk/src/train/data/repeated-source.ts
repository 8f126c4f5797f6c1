import type { OpenOptions, Sample, SampleSource, SampleStream, StreamPosition } from '@emu/data';
import { EmuError } from '@emu/program';

/**
 * The first `count` samples of a source, over and over in their order, for work whose results can be kept. Samples that
 * were read once stay in memory.
 */
export function repeatedSource(source: SampleSource, count: number): SampleSource {
  return { name: source.name, open: (options) => new RepeatedStream(source, count, options) };
}

class RepeatedStream implements SampleStream {
  readonly #kept = new Map<number, Sample>();
  #index: number;
  /** Gives sample `#innerIndex` next; undefined while samples come from memory. */
  #inner: SampleStream | undefined;
  #innerIndex: number;
  #isClosed = false;

  constructor(
    private readonly source: SampleSource,
    private readonly count: number,
    private readonly options: OpenOptions,
  ) {
    const { index, inner } = placeOf(source.name, options.position);
    this.#index = index;
    this.#innerIndex = inner === undefined ? 0 : index;
    this.#inner = source.open({ ...options, position: inner });
  }

  async next(): Promise<IteratorResult<Sample, undefined>> {
    if (this.#isClosed) return { done: true, value: undefined };
    const sample = this.#kept.get(this.#index) ?? (await this.#read());
    if (sample === undefined) return { done: true, value: undefined };
    this.#index = (this.#index + 1) % this.count;
    return { done: false, value: sample };
  }

  position(): StreamPosition {
    const inner = this.#inner;
    // Samples before this one may be in memory only here: another process reads on from the start of the source.
    if (inner === undefined || this.#innerIndex !== this.#index) return { index: this.#index, inner: null };
    return { index: this.#index, inner: inner.position() };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#inner?.close();
    this.#inner = undefined;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Sample> {
    for (let result = await this.next(); result.done !== true; result = await this.next()) yield result.value;
  }

  /** Reads up to the sample that is wanted: from where the source stands, or again from its start. */
  async #read(): Promise<Sample | undefined> {
    if (this.#inner === undefined || this.#innerIndex > this.#index) {
      await this.#inner?.close();
      this.#inner = this.source.open({ ...this.options, position: undefined });
      this.#innerIndex = 0;
    }
    for (;;) {
      const { value } = await this.#inner.next();
      if (value === undefined) return undefined;
      this.#kept.set(this.#innerIndex, value);
      this.#innerIndex += 1;
      if (this.#innerIndex > this.#index) return value;
    }
  }
}

function placeOf(
  name: string,
  position: StreamPosition | undefined,
): { readonly index: number; readonly inner: StreamPosition | undefined } {
  if (position === undefined) return { index: 0, inner: undefined };
  if (typeof position === 'object' && position !== null && !Array.isArray(position)) {
    const { index, inner } = position as { readonly [key: string]: StreamPosition };
    if (typeof index === 'number' && Number.isInteger(index) && index >= 0 && inner !== undefined) {
      return { index, inner: inner ?? undefined };
    }
  }
  throw new EmuError(
    'INVALID_CONFIG',
    `[train] ${JSON.stringify(position)} is no position of the repeated source ${name}`,
    {
      details: { source: name, position },
    },
  );
}
