import { EmuError } from '@emu/program';

import { mayUse, type Caller } from '../access/caller.js';
import type { ServerMetrics } from '../observe/metrics.js';
import { GenerationJob, type JobSpec } from './job.js';

/** A finished generation can be joined by a repeat of its request for so long. */
const repeatMs = 60_000;
/** Bytes of events of finished generations, over all of them; the oldest are forgotten first. */
const mostKeptBytes = 256 * 2 ** 20;

/** All generations of a server: those under way, and finished ones whose events are kept. */
export class JobRegistry {
  readonly #jobs = new Map<string, GenerationJob>();
  readonly #repeats = new Map<string, GenerationJob>();
  readonly #metrics: ServerMetrics;
  readonly #mostRunning: number;
  #running = 0;

  constructor(metrics: ServerMetrics, mostRunning: number) {
    this.#metrics = metrics;
    this.#mostRunning = mostRunning;
  }

  /** Generations under way, those that wait included. */
  get running(): number {
    return this.#running;
  }

  /**
   * Begins a generation, or joins the one that the same request began.
   * @throws EmuError REQUEST_CONFLICT for another request under the same id, QUEUE_FULL.
   */
  beginOrJoin(spec: JobSpec): GenerationJob {
    const key = repeatKey(spec);
    const known = key === undefined ? undefined : this.#repeats.get(key);
    if (known !== undefined) {
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

  #begin(spec: JobSpec, key: string | undefined): GenerationJob {
    const job = new GenerationJob(spec, this.#metrics);
    this.#jobs.set(spec.id, job);
    if (key !== undefined) this.#repeats.set(key, job);
    this.#running += 1;
    void job.done.then(() => {
      this.#running -= 1;
      this.#keepFor(
        job,
        key,
        job.result === undefined ? 0 : Math.max(spec.retentionMs, key === undefined ? 0 : repeatMs),
      );
    });
    return job;
  }

  /** A job that failed is not kept: a repeat should try again. */
  #keepFor(job: GenerationJob, key: string | undefined, milliseconds: number): void {
    const forget = (): void => {
      this.#jobs.delete(job.spec.id);
      if (key !== undefined && this.#repeats.get(key) === job) this.#repeats.delete(key);
    };
    if (milliseconds === 0) {
      forget();
      return;
    }
    this.#makeRoom();
    setTimeout(() => {
      forget();
      job.forget();
    }, milliseconds).unref();
  }

  #makeRoom(): void {
    const finished = [...this.#jobs.values()].filter(({ isOver }) => isOver);
    let bytes = finished.reduce((sum, { log }) => sum + log.bytes, 0);
    for (const job of finished) {
      if (bytes <= mostKeptBytes) return;
      bytes -= job.log.bytes;
      job.forget();
      this.#jobs.delete(job.spec.id);
    }
  }
}

function repeatKey({ owner, repeat }: JobSpec): string | undefined {
  return repeat === undefined ? undefined : `${owner}\n${repeat.requestId}`;
}
