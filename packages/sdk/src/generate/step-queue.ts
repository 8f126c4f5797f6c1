import { allAborted } from './all-aborted.js';
import { afterMicrotasks, nextTask } from './next-task.js';
import type { Row, RowResult } from './step.js';

/** What a run is given of one `step` call: the rows taken for it, and where to put results or a failure. */
export interface StepRequest {
  readonly taken: readonly Row[];
  /** Whether its results may lie in memory that the next run writes. */
  readonly borrows: boolean;
  /** Results of all rows so far, in order. */
  readonly results: RowResult[];
  fail(reason: unknown): void;
}

type Run = (batch: readonly StepRequest[], signal: AbortSignal) => Promise<void>;

class PendingStep implements StepRequest {
  taken: readonly Row[] = [];
  readonly results: RowResult[] = [];
  done = false;
  readonly promise: Promise<readonly RowResult[]>;
  #resolve: (results: readonly RowResult[]) => void = () => undefined;
  #reject: (reason: unknown) => void = () => undefined;

  constructor(
    readonly rows: readonly Row[],
    readonly signal: AbortSignal | undefined,
    readonly borrows: boolean,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get remaining(): number {
    return this.rows.length - this.results.length;
  }

  fail(reason: unknown): void {
    this.done = true;
    this.#reject(reason);
  }

  finishIfComplete(): void {
    if (this.done || this.remaining > 0) return;
    this.done = true;
    this.#resolve(this.results);
  }
}

/**
 * Puts the rows of concurrent steps together into runs of at most `mostRows`. Short steps go first, so that decoding
 * does not wait for a long prompt; the prompt takes the room that is left.
 */
export class StepQueue {
  readonly #mostRows: number;
  readonly #run: Run;
  #pending: PendingStep[] = [];
  #running = false;
  /** Whether the event loop has turned since the last run began. */
  #hasTurned = true;

  constructor(mostRows: number, run: Run) {
    this.#mostRows = mostRows;
    this.#run = run;
  }

  /** Resolves with one result per row. Rejects with the signal's reason when it fires before the last row ran. */
  submit(
    rows: readonly Row[],
    signal: AbortSignal | undefined,
    borrows = false,
  ): Promise<readonly RowResult[]> {
    if (rows.length === 0) return Promise.resolve([]);
    const step = new PendingStep(rows, signal, borrows);
    this.#pending.push(step);
    void this.#drain();
    return step.promise;
  }

  async #drain(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      for (;;) {
        // Lets callers that were answered together ask for their next step together. A run that was over before input,
        // timers and aborts had their turn gives it to them first.
        await (this.#hasTurned ? afterMicrotasks() : nextTask());
        this.#dropFinished();
        if (this.#pending.length === 0) return;
        this.#hasTurned = false;
        void nextTask().then(() => (this.#hasTurned = true));
        await this.#runOnce(this.#takeBatch());
      }
    } finally {
      this.#running = false;
    }
  }

  #dropFinished(): void {
    for (const step of this.#pending) {
      if (!step.done && step.signal?.aborted) step.fail(step.signal.reason);
    }
    this.#pending = this.#pending.filter((step) => !step.done);
  }

  #takeBatch(): readonly PendingStep[] {
    let room = this.#mostRows;
    const batch: PendingStep[] = [];
    for (const step of [...this.#pending].sort((a, b) => a.remaining - b.remaining)) {
      if (room === 0) break;
      const start = step.results.length;
      step.taken = step.rows.slice(start, start + room);
      room -= step.taken.length;
      batch.push(step);
    }
    return batch;
  }

  async #runOnce(batch: readonly PendingStep[]): Promise<void> {
    const stop = allAborted(batch.map((step) => step.signal));
    try {
      await this.#run(batch, stop.signal);
      for (const step of batch) step.finishIfComplete();
    } catch (error) {
      for (const step of batch) {
        if (!step.done) step.fail(step.signal?.aborted ? step.signal.reason : error);
      }
    } finally {
      stop.release();
    }
  }
}
