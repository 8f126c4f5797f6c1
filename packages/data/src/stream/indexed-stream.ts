import { drawSample, type DrawnRecipe } from '../drawn-sample.js';
import type { Sample, SampleStream } from '../sample.js';
import { leaseWorkers } from './worker-pool.js';

/** How the samples of a drawn world are streamed. */
export interface IndexedStreamOptions {
  readonly recipe: DrawnRecipe;
  /** Index of the first sample to yield. */
  readonly first: number;
  /** Threads that make samples ahead; 0 makes them where they are taken. */
  readonly workers: number;
  /** At most this many samples wait ready or in the making. */
  readonly ahead: number;
  /** The module the threads run; a default export that takes a DrawnTask. */
  readonly workerFile: URL;
}

/** Gives samples by index, in ascending order. */
interface Maker {
  take(index: number): Promise<Sample>;
  close(): Promise<void>;
}

function inlineMaker(recipe: DrawnRecipe): Maker {
  return {
    // Through a promise, so that a failure is a rejection with workers and without.
    take: (index) => Promise.resolve(index).then((at) => drawSample(recipe, at)),
    close: () => Promise.resolve(),
  };
}

/** A task holds several samples, since handing one over costs as much as drawing a small picture. */
const samplesPerTask = 8;

function workerMaker({ recipe, first, workers, ahead, workerFile }: IndexedStreamOptions): Maker {
  const lease = leaseWorkers(workerFile, workers);
  const count = Math.max(1, Math.min(samplesPerTask, Math.floor(ahead / workers)));
  const tasks = new Map<number, Promise<Sample[]>>();
  let submitted = first;
  const submit = (): void => {
    const start = submitted;
    submitted += count;
    const task = lease.run({ recipe, first: start, count });
    // The reader sees the failure when it comes to this task; until then it is not unhandled.
    task.catch(() => undefined);
    tasks.set(start, task);
  };
  return {
    async take(index) {
      const start = index - ((index - first) % count);
      for (const done of [...tasks.keys()].filter((key) => key < start)) tasks.delete(done);
      while (submitted + count - index <= Math.max(ahead, count)) submit();
      const samples = await tasks.get(start);
      const sample = samples?.[index - start];
      if (sample === undefined)
        throw new RangeError(`[drawn world] no sample ${index} in the task of ${start}`);
      return sample;
    },
    close() {
      tasks.clear();
      return lease.release();
    },
  };
}

/** A stream of a drawn world from some index on. The samples are the same whatever the number of workers. */
export function openIndexedStream(options: IndexedStreamOptions): SampleStream {
  const maker = options.workers > 0 ? workerMaker(options) : inlineMaker(options.recipe);
  let index = options.first;
  let isClosed = false;
  let last: Promise<unknown> = Promise.resolve();

  const take = async (): Promise<IteratorResult<Sample, undefined>> => {
    if (isClosed) return { done: true, value: undefined };
    try {
      const value = await maker.take(index);
      index++;
      return { done: false, value };
    } catch (error) {
      // Closing ends the threads under a reader that waits.
      if (isClosed as boolean) return { done: true, value: undefined };
      throw error;
    }
  };
  const next = (): Promise<IteratorResult<Sample, undefined>> => {
    // Calls that overlap get different samples, in the order of the calls.
    const taken = last.then(take, take);
    last = taken;
    return taken;
  };
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await maker.close();
  };
  return {
    next,
    close,
    position: () => ({ index }),
    [Symbol.asyncIterator]: () => ({
      next,
      return: () => close().then(() => ({ done: true as const, value: undefined })),
    }),
  };
}
