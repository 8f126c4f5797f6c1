import { EmuError } from '@emu/program';

import { allAborted } from './all-aborted.js';
import { nextTask } from './next-task.js';

interface Pending<Item, Result> {
  readonly item: Item;
  readonly rows: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Puts equal work of concurrent calls together into runs of at most `mostRows` rows, in the order in which it came. An
 * item goes into a run whole. Who comes back with its next item stands at the end of the queue, so callers take turns.
 */
export class BatchQueue<Item, Result> {
  readonly #mostRows: number;
  readonly #run: (items: readonly Item[], signal: AbortSignal) => Promise<readonly Result[]>;
  readonly #pending: Pending<Item, Result>[] = [];
  #running = false;

  /** `run` returns one result per item, in order. */
  constructor(
    mostRows: number,
    run: (items: readonly Item[], signal: AbortSignal) => Promise<readonly Result[]>,
  ) {
    this.#mostRows = mostRows;
    this.#run = run;
  }

  /** Resolves when the item has run; rejects with the signal's reason when it fires before, or with what the run threw. */
  submit(item: Item, rows: number, signal: AbortSignal | undefined): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ item, rows, signal, resolve, reject });
      void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      for (;;) {
        // Callers that were answered together ask for their next step together; aborts that wait are seen.
        await nextTask();
        const batch = this.#takeBatch();
        if (batch.length === 0) return;
        await this.#runOnce(batch);
      }
    } finally {
      this.#running = false;
    }
  }

  #takeBatch(): readonly Pending<Item, Result>[] {
    const batch: Pending<Item, Result>[] = [];
    let rows = 0;
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      if (next.signal?.aborted === true) {
        this.#pending.shift();
        next.reject(next.signal.reason);
        continue;
      }
      if (batch.length > 0 && rows + next.rows > this.#mostRows) break;
      this.#pending.shift();
      batch.push(next);
      rows += next.rows;
    }
    return batch;
  }

  async #runOnce(batch: readonly Pending<Item, Result>[]): Promise<void> {
    const stop = allAborted(batch.map(({ signal }) => signal));
    try {
      const results = await this.#run(
        batch.map(({ item }) => item),
        stop.signal,
      );
      for (const [index, { resolve, reject, signal }] of batch.entries()) {
        const result = results[index];
        if (signal?.aborted === true) reject(signal.reason);
        else if (result === undefined)
          reject(new EmuError('INTERNAL', `[batch] item ${index} got no result`));
        else resolve(result);
      }
    } catch (error) {
      for (const { reject, signal } of batch) reject(signal?.aborted === true ? signal.reason : error);
    } finally {
      stop.release();
    }
  }
}
