import { EmuError } from '@emu/program';
import type { GenerationEvent, GenerationResult, GenerationStream } from '@emu/sdk';

import { finishedEvent, textEvent, wireEvents, type EventOptions } from '../convert/events.js';
import type { ServerMetrics } from '../observe/metrics.js';
import { EventLog, type LogEntry } from './event-log.js';
import type { JobEvent } from './job-event.js';
import { JobTimes } from './job-times.js';
import { ReaderPause } from './reader-pause.js';

/** What a generation is made of. */
export interface JobSpec {
  readonly id: string;
  /** Name of the caller. */
  readonly owner: string;
  /** Id of the request and digest of the rest of it, when the caller wants repeats to join. */
  readonly repeat: { readonly requestId: string; readonly digest: string } | undefined;
  /** How long events are kept, and the work goes on, without a reader. */
  readonly retentionMs: number;
  readonly events: EventOptions;
  readonly encode: (sequence: number, event: JobEvent) => Uint8Array;
  /** Reads the request's media and begins. */
  readonly begin: (signal: AbortSignal) => Promise<GenerationStream>;
  /** performance.now() when the call came. */
  readonly arrivedAt: number;
}

/** A generation as it is known after it began: what began it is dropped, and the request's media with it. */
export type JobFacts = Omit<JobSpec, 'begin'>;

/** What of a result is of interest once its events have been told: a few numbers, no text and no pixels. */
export type JobOutcome = Pick<GenerationResult, 'finishReason' | 'usage' | 'score'>;

/** Bytes of events that one generation keeps: with what is under way to a reader, below 8 MiB. */
const mostLogBytes = 6 * 2 ** 20;

/** The reason of CancelGeneration: what there is so far is the result. */
const stoppedByCaller = new EmuError('CANCELLED', '[generate] CancelGeneration stopped the generation');

/**
 * A generation that runs by itself and any number of readers of its events. Without a reader it stops, unless it is
 * to be retained.
 */
export class GenerationJob {
  readonly spec: JobFacts;
  readonly log: EventLog;
  /** Resolves when the work is over, however it ended. */
  readonly done: Promise<void>;
  readonly #controller = new AbortController();
  readonly #readers = new Set<ReaderPause>();
  readonly #nextTurn: (now: number) => number;
  readonly #times: JobTimes;
  #retention: NodeJS.Timeout | undefined;
  #isOver = false;
  #isForgotten = false;
  #failure: EmuError | undefined;
  #outcome: JobOutcome | undefined;

  /** nextTurn: when a reader that gets text now may get more, by performance.now(). */
  constructor(
    { begin, ...spec }: JobSpec,
    metrics: ServerMetrics,
    nextTurn: (now: number) => number = (now) => now,
  ) {
    this.spec = spec;
    this.#nextTurn = nextTurn;
    this.#times = new JobTimes(spec, metrics);
    this.log = new EventLog({
      encode: spec.encode,
      mostBytes: mostLogBytes,
      onDropped: () => {
        metrics.droppedPreviews.inc({ model: spec.events.model.name });
      },
      onBytes: (change) => {
        metrics.readerBytes.inc(change);
      },
    });
    // `begin` holds the request and the call it came with: it may live no longer than the work.
    this.done = this.#run(begin);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether it was stopped with a failure, which is on its way. */
  get isStopped(): boolean {
    const { signal } = this.#controller;
    return signal.aborted && signal.reason !== stoppedByCaller;
  }

  /** How it ended, once it is over and has not failed. */
  get outcome(): JobOutcome | undefined {
    return this.#outcome;
  }

  /** Stops the work; the stream ends with what there is. */
  cancel(): void {
    this.#controller.abort(stoppedByCaller);
  }

  /** Stops the work; readers get the failure. */
  stop(failure: EmuError): void {
    this.#controller.abort(failure);
  }

  /** Keeps events no longer than those who read them now need. */
  forget(): void {
    this.#isForgotten = true;
    this.#trimUnreadable();
  }

  /**
   * Hands events after a number to `write`, as fast as it takes them, until the end; a promise of it is waited for.
   * @throws what ended the generation, CURSOR_EXPIRED, or `signal.reason`.
   */
  async read(
    afterSequence: number,
    write: (entry: LogEntry) => void | Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    clearTimeout(this.#retention);
    const reader = new ReaderPause();
    this.#readers.add(reader);
    signal.addEventListener('abort', reader.end);
    try {
      let last = afterSequence;
      let [due, ripe] = [0, 0]; // when text may go next, and up to which event it may go now
      for (;;) {
        signal.throwIfAborted();
        const growing = last < ripe || this.#isOver ? undefined : this.log.growing(last);
        if (growing !== undefined) {
          const now = performance.now();
          if (due - now >= 1) {
            await reader.gather(due);
            continue;
          }
          ripe = this.log.last;
          // Tokens alone hold up their text no longer. What goes just before its turn has had the turn.
          if (growing === 'text') due = this.#nextTurn(Math.max(now, due));
        }
        const entry = this.log.after(last);
        if (entry !== undefined) {
          const written = write(entry);
          if (written !== undefined) await written;
          last = entry.sequence;
          if (!this.#isKept && this.#readers.size === 1) this.log.trim(last);
        } else if (this.#isOver) {
          if (this.#failure !== undefined) throw this.#failure;
          return;
        } else {
          await reader.news();
        }
      }
    } finally {
      signal.removeEventListener('abort', reader.end);
      this.#readers.delete(reader);
      if (this.#readers.size === 0 && !this.#isOver) this.#onLastReaderGone();
      this.#trimUnreadable();
    }
  }

  /** Whether events stay after they were read. */
  get #isKept(): boolean {
    return !this.#isForgotten && (this.spec.retentionMs > 0 || this.spec.repeat !== undefined);
  }

  #onLastReaderGone(): void {
    const gone = new EmuError('CANCELLED', '[generate] nobody reads the generation any more');
    if (this.spec.retentionMs === 0) {
      this.stop(gone);
      return;
    }
    this.#retention = setTimeout(() => {
      this.stop(gone);
    }, this.spec.retentionMs);
    this.#retention.unref();
  }

  async #run(begin: JobSpec['begin']): Promise<void> {
    const { signal } = this.#controller;
    try {
      // The caller gets its job before anything happens.
      await Promise.resolve();
      const stream = await begin(signal);
      for await (const event of stream) {
        const told = this.#tell(event);
        if (told !== undefined) await told;
      }
      const result = await stream.result();
      if (signal.aborted && signal.reason !== stoppedByCaller) throw signal.reason as Error;
      this.#finish(result);
    } catch (error) {
      if (signal.reason === stoppedByCaller) this.#finish(nothing);
      else this.#failure = EmuError.from(signal.aborted ? signal.reason : error);
    } finally {
      this.#times.over(this.#failure === undefined);
      clearTimeout(this.#retention);
      this.#isOver = true;
      this.#trimUnreadable();
      for (const reader of this.#readers) reader.end();
    }
  }

  /** Nobody can come back to events of a failure, or to those that were not to be kept. */
  #trimUnreadable(): void {
    if (!this.#isOver || this.#readers.size > 0) return;
    if (!this.#isKept || this.#failure !== undefined) this.log.trim(Infinity);
  }

  /** Most events are text, and there is nothing to wait for. */
  #tell(event: GenerationEvent): void | Promise<void> {
    this.#times.on(event);
    if (event.type !== 'text') return this.#tellSlowly(event);
    this.log.append(textEvent(event.text));
    this.#wake();
  }

  async #tellSlowly(event: GenerationEvent): Promise<void> {
    for (const each of await wireEvents(event, this.spec.events)) this.log.append(each);
    this.#wake();
  }

  #finish(result: Parameters<typeof finishedEvent>[0]): void {
    const { finishReason, usage, score } = result;
    this.#outcome = { finishReason, usage, ...(score === undefined ? {} : { score }) };
    this.log.append(finishedEvent(result, this.#times.now()));
    if (this.#isKept) this.log.pack();
  }

  #wake(): void {
    for (const reader of this.#readers) reader.onNews();
  }
}

/** The result of a generation that was cancelled before it began. */
const nothing = {
  finishReason: 'aborted',
  tokens: [],
  usage: {
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    promptImages: 0,
    images: 0,
    denoisingSteps: 0,
  },
} as const;
