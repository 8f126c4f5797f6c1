import type { JsonValue } from '../json-value.js';
import type { BatchStream, TrainingBatch } from '../task.js';

export interface TakenBatch {
  readonly batch: TrainingBatch;
  /** Where the data goes on after this batch. */
  readonly position: JsonValue;
}

/** Prepares the next batch while the one before it is trained on. */
export class BatchQueue {
  readonly #stream: BatchStream;
  #next: Promise<TakenBatch | undefined>;
  /** Whether a batch could not be made, which `take` told. */
  hasFailed = false;

  constructor(stream: BatchStream) {
    this.#stream = stream;
    this.#next = this.#prepare();
  }

  /** The next batch, or undefined at the end of the data. */
  async take(): Promise<TakenBatch | undefined> {
    const taken = await this.#next.catch((error: unknown) => {
      this.hasFailed = true;
      throw error;
    });
    if (taken !== undefined) this.#next = this.#prepare();
    return taken;
  }

  /** When the next batch is there, or has failed, which `take` tells. */
  async ready(): Promise<void> {
    await this.#next.catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#next.catch(() => undefined);
    await this.#stream.close();
  }

  #prepare(): Promise<TakenBatch | undefined> {
    const next = this.#stream
      .next()
      .then((batch) => (batch === undefined ? undefined : { batch, position: this.#stream.position() }));
    // Reported when it is taken; until then it is nobody's unhandled failure.
    next.catch(() => undefined);
    return next;
  }
}
