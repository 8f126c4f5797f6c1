import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { DataError } from '../errors.js';
import type { Sample } from '../sample.js';
import type { DrawnTask } from './drawn-worker.js';

/** A share of the threads that make samples. Streams of one process that ask for as many threads share them. */
export interface WorkerLease {
  /** @throws DataError INTERNAL when the thread fails or dies. */
  run(task: DrawnTask): Promise<Sample[]>;
  /** The threads end with the last share. */
  release(): Promise<void>;
}

interface SharedPool {
  readonly pool: Piscina<DrawnTask, Sample[]>;
  shares: number;
}

const pools = new Map<string, SharedPool>();

/** Takes a share of `count` threads that run the module at `file`. */
export function leaseWorkers(file: URL, count: number): WorkerLease {
  const key = `${file.href} ${count}`;
  let shared = pools.get(key);
  if (shared === undefined) {
    const pool = new Piscina<DrawnTask, Sample[]>({
      filename: fileURLToPath(file),
      minThreads: count,
      maxThreads: count,
      concurrentTasksPerWorker: 1,
    });
    // The failure reaches the reader through its task; an 'error' event without a listener would end the process.
    pool.on('error', () => undefined);
    shared = { pool, shares: 0 };
    pools.set(key, shared);
  }
  const own = shared;
  own.shares++;
  let isReleased = false;
  return {
    async run(task) {
      try {
        return await own.pool.run(task);
      } catch (cause) {
        const { name } = task.recipe;
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new DataError(
          'INTERNAL',
          `[drawn world] a worker failed at samples ${task.first}..${task.first + task.count - 1} of '${name}': ${reason}`,
          { cause, details: { first: task.first, count: task.count, source: name } },
        );
      }
    },
    async release() {
      if (isReleased) return;
      isReleased = true;
      own.shares--;
      if (own.shares > 0) return;
      pools.delete(key);
      await own.pool.destroy();
    },
  };
}
