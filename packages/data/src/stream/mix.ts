import { DataError } from '../errors.js';
import { Random } from '../random.js';
import type { OpenOptions, Sample, SampleSource, SampleStream, StreamPosition } from '../sample.js';

/** A source and how often it is drawn from, in any unit. */
export interface WeightedSource {
  readonly source: SampleSource;
  readonly weight: number;
}

interface MixPosition {
  readonly draw: number;
  readonly sources: Readonly<Record<string, StreamPosition>>;
}

function isRecord(value: unknown): value is Readonly<Record<string, StreamPosition>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkedPosition(name: string, position: StreamPosition | undefined): MixPosition {
  if (position === undefined) return { draw: 0, sources: {} };
  if (isRecord(position)) {
    const { draw, sources } = position;
    if (typeof draw === 'number' && Number.isSafeInteger(draw) && draw >= 0 && isRecord(sources)) {
      return { draw, sources };
    }
  }
  throw new DataError(
    'INVALID_OPTION',
    `[${name}] a position is {"draw": number, "sources": {...}}, got ${JSON.stringify(position)}`,
    { hint: 'Pass what position() of a stream of this mixture returned.', details: { position } },
  );
}

function checkSources(name: string, sources: readonly WeightedSource[]): void {
  const names = sources.map(({ source }) => source.name);
  const twice = names.find((one, at) => names.indexOf(one) !== at);
  if (twice !== undefined) {
    throw new DataError('INVALID_OPTION', `[${name}] two sources are named '${twice}'`, {
      hint: 'Give each source its own name: positions are kept by name.',
      details: { name: twice },
    });
  }
  const bad = sources.find(({ weight }) => !Number.isFinite(weight) || weight <= 0);
  if (sources.length === 0 || bad !== undefined) {
    const came = bad === undefined ? 'no source' : `${bad.weight} for '${bad.source.name}'`;
    throw new DataError('INVALID_OPTION', `[${name}] every source needs a weight above 0, got ${came}`);
  }
}

/**
 * Mixes sources: which one the n-th sample comes from depends on the seed and n alone, with chance proportional to the
 * weights. A source that ends is drawn no more; the mixture ends with its last source.
 * @throws DataError INVALID_OPTION for sources without a weight above 0, or two of one name.
 */
export function mixSources(name: string, sources: readonly WeightedSource[]): SampleSource {
  checkSources(name, sources);
  const weights = Object.fromEntries(sources.map(({ source, weight }) => [source.name, weight]));
  return { name, open: (options) => openMix(name, sources, weights, options) };
}

function openMix(
  name: string,
  sources: readonly WeightedSource[],
  weights: Readonly<Record<string, number>>,
  options: OpenOptions,
): SampleStream {
  const start = checkedPosition(name, options.position);
  const streams = new Map<string, SampleStream>();
  for (const { source } of sources) {
    streams.set(source.name, source.open({ ...options, position: start.sources[source.name] }));
  }
  let draw = start.draw;
  let isClosed = false;
  let last: Promise<unknown> = Promise.resolve();

  const take = async (): Promise<IteratorResult<Sample, undefined>> => {
    if (isClosed) return { done: true, value: undefined };
    const random = new Random(options.seed, draw, `mix/${name}`);
    let left = weights;
    // The first choice is always among all, so that a resumed stream, which does not know who ended, chooses alike.
    while (Object.keys(left).length > 0) {
      const chosen = random.weighted(left);
      const result = await streams.get(chosen)?.next();
      if (result !== undefined && result.done !== true) {
        draw++;
        return result;
      }
      left = Object.fromEntries(Object.entries(left).filter(([other]) => other !== chosen));
    }
    return { done: true, value: undefined };
  };
  const next = (): Promise<IteratorResult<Sample, undefined>> => {
    const taken = last.then(take, take);
    last = taken;
    return taken;
  };
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await Promise.all([...streams.values()].map((stream) => stream.close()));
  };
  return {
    next,
    close,
    position: () => ({
      draw,
      sources: Object.fromEntries([...streams].map(([source, stream]) => [source, stream.position()])),
    }),
    [Symbol.asyncIterator]: () => ({
      next,
      return: () => close().then(() => ({ done: true as const, value: undefined })),
    }),
  };
}
