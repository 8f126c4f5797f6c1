import { EmuError } from '@emu/program';

import { inNextTask } from './next-task.js';
import type { GeneratedImage, GenerationEvent, GenerationResult } from './events.js';

/** What a stream runs: emits events and returns the whole; `partial` is what there is after an abort. */
export interface GenerationWork {
  run(emit: (event: GenerationEvent) => void, signal: AbortSignal): Promise<GenerationResult>;
  partial(): GenerationResult;
}

/**
 * A generation under way: events to iterate over, and the whole as promises. It runs from the start, read or not.
 * Every iteration sees all events from the first. Leaving a loop before `finish` cancels the generation.
 */
export class GenerationStream implements AsyncIterable<GenerationEvent> {
  readonly #controller = new AbortController();
  readonly #events: GenerationEvent[] = [];
  readonly #result: Promise<GenerationResult>;
  #isOver = false;
  #wake: () => void = () => undefined;
  #willWake = false;
  #news: Promise<void>;

  constructor(
    work: GenerationWork,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly onAbort?: 'throw' | 'return' | undefined;
    },
  ) {
    this.#news = this.#nextNews();
    this.#result = this.#run(work, options.signal, options.onAbort === 'return');
    // Whoever asks for the result gets the failure; nobody asking is no crash.
    this.#result.catch(() => undefined);
  }

  /** Stops the generation within one step. Does nothing when it is over. */
  cancel(reason: unknown = new EmuError('CANCELLED', '[generate] the generation was cancelled')): void {
    if (!this.#isOver) this.#controller.abort(reason);
  }

  /** The whole. Rejects with the error of the generation, or with the reason of an abort. */
  result(): Promise<GenerationResult> {
    return this.#result;
  }

  /** All text. */
  async text(): Promise<string> {
    return (await this.#result).text;
  }

  /** All pictures. */
  async images(): Promise<readonly GeneratedImage[]> {
    return (await this.#result).images;
  }

  /** By hand: for every event of every stream, a generator function makes several promises more. */
  [Symbol.asyncIterator](): AsyncIterableIterator<GenerationEvent, undefined> {
    const end = { value: undefined, done: true } as const;
    let at = 0;
    let hasLeft = false;
    const next = (): Promise<IteratorResult<GenerationEvent, undefined>> => {
      if (hasLeft) return Promise.resolve(end);
      const event = this.#events[at];
      if (event !== undefined) {
        at += 1;
        return Promise.resolve({ value: event, done: false });
      }
      // At the end the result throws what ended the generation.
      return this.#isOver ? this.#result.then(() => end) : this.#news.then(next);
    };
    const leave = (): Promise<typeof end> => {
      if (!this.#isOver) this.cancel(new EmuError('CANCELLED', '[generate] the reader left before the end'));
      hasLeft = true;
      return Promise.resolve(end);
    };
    return {
      next,
      return: leave,
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  async #run(
    work: GenerationWork,
    signal: AbortSignal | undefined,
    returnsPartial: boolean,
  ): Promise<GenerationResult> {
    const onAbort = (): void => {
      this.#controller.abort(signal?.reason);
    };
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      // The caller gets its stream before anything happens.
      await Promise.resolve();
      this.#controller.signal.throwIfAborted();
      return this.#finished(
        await work.run((event) => {
          this.#emit(event);
        }, this.#controller.signal),
      );
    } catch (error) {
      if (!this.#controller.signal.aborted) throw error;
      if (returnsPartial) return this.#finished(work.partial());
      throw this.#controller.signal.reason;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#isOver = true;
      this.#wake();
    }
  }

  #finished(result: GenerationResult): GenerationResult {
    const { finishReason: reason, usage, seed } = result;
    this.#emit({ type: 'finish', reason, usage, seed });
    return result;
  }

  #emit(event: GenerationEvent): void {
    this.#events.push(event);
    if (this.#willWake) return;
    this.#willWake = true;
    // Readers take their time: whatever emits, and the model's next step, goes first.
    inNextTask(() => {
      this.#willWake = false;
      const wake = this.#wake;
      this.#news = this.#nextNews();
      wake();
    });
  }

  #nextNews(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}
