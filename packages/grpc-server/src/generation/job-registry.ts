import { EmuError } from '@emu/program';

import { mayUse, type Caller } from '../access/caller.js';
import type { ServerMetrics } from '../observe/metrics.js';
import { GenerationJob, type JobFacts, type JobSpec } from './job.js';

/** A finished generation can be joined by a repeat of its request for so long. */
const repeatMs = 60_000;
/** What finished generations may hold, over all of them; the oldest are forgotten first. */
const mostKeptBytes = 64 * 2 ** 20;
/** About what a finished generation holds besides its events: the job, its log, its timer, its places in two maps. */
const jobBytes = 4096;

/**
 * Messages of text that a server sends in a second, over all streams, before it joins what one stream gets. A message
 * costs the transport about what a token costs a small model, at both ends, and that time is the model's too. Streams
 * that together make fewer tokens, as those of large models do, get each one at once.
 */
const messagesPerSecond = 1000;
/** No text waits much longer than this: what changes thirty times a second changes all the time, for whoever looks at it. */
const longestPaceMs = 33;

/** All generations of a server: those under way, and finished ones whose events are kept. */
export class JobRegistry {
  readonly #jobs = new Map<string, GenerationJob>();
  readonly #repeats = new Map<string, GenerationJob>();
  /** Finished generations that are kept for a while, the oldest first, with the timers that end it. */
  readonly #kept = new Map<GenerationJob, { readonly timer: NodeJS.Timeout; readonly bytes: number }>();
  readonly #metrics: ServerMetrics;
  readonly #mostRunning: number;
  readonly #mostKeptBytes: number;
  #running = 0;
  #keptBytes = 0;

  constructor(metrics: ServerMetrics, mostRunning: number, mostBytes = mostKeptBytes) {
    this.#metrics = metrics;
    this.#mostRunning = mostRunning;
    this.#mostKeptBytes = mostBytes;
  }

  /** Generations under way, those that wait included. */
  get running(): number {
    return this.#running;
  }

  /** Finished generations whose events are kept for repeats and lost streams, and about the bytes that they hold. */
  get kept(): { readonly jobs: number; readonly bytes: number } {
    return { jobs: this.#kept.size, bytes: this.#keptBytes };
  }

  /**
   * Begins a generation, or joins the one that the same request began.
   * @throws EmuError REQUEST_CONFLICT for another request under the same id, QUEUE_FULL.
   */
  beginOrJoin(spec: JobSpec): GenerationJob {
    const key = repeatKey(spec);
    const known = key === undefined ? undefined : this.#repeats.get(key);
    // One that is being stopped, since its last reader left, has nothing for a repeat.
    if (known !== undefined && !known.isStopped) {
      if (known.spec.repeat?.digest === spec.repeat?.digest) return known;
      throw new EmuError('REQUEST_CONFLICT', '[request_id] another request came with this id before', {
        hint: 'Draw a new UUID for each request; repeat a request with all its fields.',
        details: { field: 'request_id' },
      });
    }
    if (this.#running >= this.#mostRunning) {
      throw new EmuError(
        'QUEUE_FULL',
        `[generate] ${this.#running} generations are under way, which is the limit`,
        {
          hint: 'Try again after the delay in RetryInfo.',
          details: { running: this.#running },
        },
      );
    }
    return this.#begin(spec, key);
  }

  /** @throws EmuError CURSOR_EXPIRED for one that is not there, any more or for this caller. */
  find(id: string, caller: Caller, field: string): GenerationJob {
    const job = this.#jobs.get(id);
    if (job !== undefined && mayUse(caller, job.spec.owner)) return job;
    throw new EmuError(
      'CURSOR_EXPIRED',
      `[${field}] no generation ${JSON.stringify(id.slice(0, 80))} is kept`,
      {
        hint: 'Send the request again; with a longer retention it can be resumed for longer.',
        details: { field, id },
      },
    );
  }

  /** The same without a failure. */
  peek(id: string, caller: Caller): GenerationJob | undefined {
    const job = this.#jobs.get(id);
    return job !== undefined && mayUse(caller, job.spec.owner) ? job : undefined;
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    while (this.#running > 0) await Promise.all([...this.#jobs.values()].map(({ done }) => done));
  }

  /** Ends everything that runs with a failure. */
  stopAll(failure: EmuError): void {
    for (const job of this.#jobs.values()) job.stop(failure);
  }

  /** All streams have their turns at the same times, so that their messages leave in one piece. */
  #nextTurn(now: number): number {
    const pace = Math.min((1000 * this.#running) / messagesPerSecond, longestPaceMs);
    if (pace <= 1) return now; // timers count in milliseconds
    return (Math.floor(now / pace) + 1) * pace;
  }

  #begin(spec: JobSpec, key: string | undefined): GenerationJob {
    const job = new GenerationJob(spec, this.#metrics, (now) => this.#nextTurn(now));
    this.#jobs.set(spec.id, job);
    if (key !== undefined) this.#repeats.set(key, job);
    this.#running += 1;
    void job.done.then(() => {
      this.#running -= 1;
      this.#keepOrForget(job);
    });
    return job;
  }

  /** A job that failed is not kept: a repeat should try again. */
  #keepOrForget(job: GenerationJob): void {
    const { retentionMs, repeat } = job.spec;
    const milliseconds = Math.max(retentionMs, repeat === undefined ? 0 : repeatMs);
    if (job.outcome === undefined || milliseconds === 0) {
      this.#forget(job);
      return;
    }
    const timer = setTimeout(() => {
      this.#forget(job);
    }, milliseconds);
    timer.unref();
    const bytes = jobBytes + job.log.bytes;
    this.#kept.set(job, { timer, bytes });
    this.#count(bytes);
    for (const [oldest] of this.#kept) {
      if (this.#keptBytes <= this.#mostKeptBytes) return;
      this.#forget(oldest);
    }
  }

  /** Nobody finds the job any more; whoever reads it still does. */
  #forget(job: GenerationJob): void {
    job.forget();
    this.#jobs.delete(job.spec.id);
    const key = repeatKey(job.spec);
    if (key !== undefined && this.#repeats.get(key) === job) this.#repeats.delete(key);
    const kept = this.#kept.get(job);
    if (kept === undefined) return;
    clearTimeout(kept.timer);
    this.#kept.delete(job);
    this.#count(-kept.bytes);
  }

  #count(bytes: number): void {
    this.#keptBytes += bytes;
    this.#metrics.keptBytes.inc(bytes);
    this.#metrics.kept.set(this.#kept.size);
  }
}

function repeatKey({ owner, repeat }: JobFacts): string | undefined {
  return repeat === undefined ? undefined : `${owner}\n${repeat.requestId}`;
}
