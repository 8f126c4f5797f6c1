import type { Sample, SampleStream } from '../sample.js';

/** How the samples of an indexed source are made. */
export interface IndexedSamples {
  /** Makes one sample; must depend on the index alone. */
  readonly make: (index: number) => Sample;
  /** Index of the first sample to yield. */
  readonly first: number;
}

/** A stream of samples that can be made in any order; they are made where they are taken. */
export function openIndexedStream({ make, first }: IndexedSamples): SampleStream {
  let index = first;
  let isClosed = false;
  // eslint-disable-next-line @typescript-eslint/require-await -- an error of `make` becomes a rejection
  const next = async (): Promise<IteratorResult<Sample, undefined>> => {
    if (isClosed) return { done: true, value: undefined };
    const value = make(index);
    index++;
    return { done: false, value };
  };
  const close = (): Promise<void> => {
    isClosed = true;
    return Promise.resolve();
  };
  return {
    next,
    close,
    position: () => ({ index }),
    [Symbol.asyncIterator]: () => ({
      next,
      return: () => close().then(() => ({ done: true, value: undefined })),
    }),
  };
}
