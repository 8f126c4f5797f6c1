import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  LogLineSchema,
  TrainingJobSchema,
  TrainingMetricsSchema,
  TrainingState,
  WatchTrainingJobResponseSchema,
  type TrainingJob as WireJob,
  type WatchTrainingJobResponse,
} from '@emu/proto';
import { EmuError } from '@emu/program';

import { rpcStatus } from '../wire/status.js';
import { recordVersion, type JobRecord } from './job-record.js';

/** What a job runs. */
export interface JobCommand {
  readonly id: string;
  readonly owner: string;
  readonly recipe: string;
  readonly overrides: readonly string[];
  /** See JobRecord. */
  readonly requestId: string;
  readonly digest: string;
  /** The program and its arguments; runs in `folder`. */
  readonly command: readonly [string, ...string[]];
  readonly folder: string;
}

type Event = WatchTrainingJobResponse['event'];

/** Events of one job that are kept; of a long run the newest. */
const mostEvents = 10_000;
const longestLine = 2000;
/** A run that was asked to stop writes a checkpoint first. */
const stopMs = 60_000;

const endedAs = {
  succeeded: TrainingState.SUCCEEDED,
  failed: TrainingState.FAILED,
  cancelled: TrainingState.CANCELLED,
} as const;
const over: readonly TrainingState[] = Object.values(endedAs);

/** One training run in a process of its own, and everything it tells. */
export class TrainingJob {
  readonly spec: JobCommand;
  readonly #createdAt: number;
  readonly #events: WatchTrainingJobResponse[] = [];
  readonly #waiters = new Set<() => void>();
  #sequence = 0;
  #updatedAt: number;
  #state: TrainingState = TrainingState.QUEUED;
  #child: ChildProcess | undefined;
  #step = 0;
  #totalSteps = 0;
  #lastError = '';
  #outcome = '';
  #isCancelled = false;
  #isInterrupted = false;

  /** `record`: what an earlier server knew of it. `onChange` is called whenever its record has changed. */
  constructor(
    spec: JobCommand,
    record?: JobRecord,
    private readonly onChange: () => void = () => undefined,
  ) {
    this.spec = spec;
    this.#createdAt = record?.createdAt ?? Date.now();
    this.#updatedAt = record?.updatedAt ?? this.#createdAt;
    if (record !== undefined) {
      this.#step = record.step;
      this.#totalSteps = record.totalSteps;
      this.#outcome = record.outcome;
      if (record.state !== 'open') this.#state = endedAs[record.state];
    }
    this.#tellState();
  }

  /** What outlives the server. */
  get record(): JobRecord {
    const { id, owner, overrides, requestId, digest } = this.spec;
    const ended = Object.entries(endedAs).find(([, state]) => state === this.#state)?.[0];
    return {
      version: recordVersion,
      ...{ id, owner, overrides, requestId, digest },
      state: (ended as keyof typeof endedAs | undefined) ?? 'open',
      outcome: this.#outcome,
      step: this.#step,
      totalSteps: this.#totalSteps,
      createdAt: this.#createdAt,
      updatedAt: this.#updatedAt,
    };
  }

  get isOver(): boolean {
    return over.includes(this.#state);
  }

  /** Resolves when the process is gone. */
  async run(): Promise<void> {
    if (this.#isCancelled) return;
    const [program, ...args] = this.spec.command;
    const child = spawn(program, args, { cwd: this.spec.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#change(TrainingState.RUNNING);
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#onLine(line);
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#lastError = line.slice(0, longestLine);
      this.#log(line);
    });
    const outcome = await new Promise<string>((resolve) => {
      child.once('error', (error) => {
        resolve(error.message);
      });
      child.once('close', (code, signal) => {
        resolve(code === 0 ? '' : `exit status ${code ?? signal ?? 'unknown'}`);
      });
    });
    this.#child = undefined;
    if (this.#wasCancelled()) this.#change(TrainingState.CANCELLED);
    else if (outcome !== '' && this.#isInterrupted) this.#change(TrainingState.QUEUED);
    else if (outcome === '') this.#change(TrainingState.SUCCEEDED);
    else this.#fail(outcome);
  }

  /** Asks the process to stop at a safe point; one that does not is killed after a minute. */
  cancel(): void {
    if (this.isOver) return;
    this.#isCancelled = true;
    const child = this.#child;
    if (child === undefined) {
      this.#change(TrainingState.CANCELLED);
      return;
    }
    this.#stop(child);
  }

  /** The same for the end of the server: the job is not over, the next server with its folder goes on. */
  interrupt(): void {
    this.#isInterrupted = true;
    if (this.#child !== undefined) this.#stop(this.#child);
  }

  #stop(child: ChildProcess): void {
    child.kill('SIGTERM');
    setTimeout(() => {
      if (this.#child === child) child.kill('SIGKILL');
    }, stopMs).unref();
  }

  /** Asked anew: it may have been cancelled while the process ran. */
  #wasCancelled(): boolean {
    return this.#isCancelled;
  }

  describe(): WireJob {
    return create(TrainingJobSchema, {
      name: `trainingJobs/${this.spec.id}`,
      state: this.#state,
      recipeYaml: this.spec.recipe,
      step: BigInt(this.#step),
      totalSteps: BigInt(this.#totalSteps),
      ...(this.#state === TrainingState.FAILED && { error: rpcStatus(failure(this.#outcome)) }),
      createTime: timestampFromMs(this.#createdAt),
      updateTime: timestampFromMs(this.#updatedAt),
    });
  }

  /** Events after a number until the job is over. @throws EmuError CURSOR_EXPIRED, or `signal.reason`. */
  async *watch(afterSequence: number, signal: AbortSignal): AsyncGenerator<WatchTrainingJobResponse> {
    const first = Number(this.#events[0]?.sequence ?? 1n);
    if (afterSequence > this.#sequence || (afterSequence > 0 && afterSequence + 1 < first)) {
      throw new EmuError(
        'CURSOR_EXPIRED',
        `[after_sequence] ${afterSequence} is not among ${first}..${this.#sequence}`,
        {
          hint: 'Use 0 for all events that are kept.',
          details: { field: 'after_sequence', afterSequence, first, last: this.#sequence },
        },
      );
    }
    let last = afterSequence;
    for (;;) {
      signal.throwIfAborted();
      const next = this.#events.find(({ sequence }) => sequence > last);
      if (next !== undefined) {
        last = Number(next.sequence);
        yield next;
      } else if (this.isOver) return;
      else await this.#news(signal);
    }
  }

  /** One event of `emu train --json`, or a line for people. */
  #onLine(line: string): void {
    const event = parsedObject(line);
    if (event?.['type'] === 'started' || event?.['type'] === 'step') {
      const { step, maxSteps } = event;
      if (isCount(step)) this.#step = step;
      if (isCount(maxSteps)) this.#totalSteps = maxSteps;
      this.#updatedAt = Date.now();
    } else if (event?.['type'] === 'metrics' && isRecord(event['metrics'])) this.#metrics(event['metrics']);
    else this.#log(line);
  }

  #metrics({ step, ...rest }: Readonly<Record<string, unknown>>): void {
    const scalars = Object.fromEntries(
      Object.entries(rest).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
    );
    if (isCount(step)) this.#step = step;
    const value = create(TrainingMetricsSchema, { step: BigInt(this.#step), scalars });
    this.#tell({ case: 'metrics', value });
  }

  #log(line: string): void {
    this.#tell({ case: 'log', value: create(LogLineSchema, { message: line.slice(0, longestLine) }) });
  }

  #fail(outcome: string): void {
    this.#outcome = this.#lastError === '' ? outcome : `${outcome}: ${this.#lastError}`;
    this.#change(TrainingState.FAILED);
  }

  #change(state: TrainingState): void {
    this.#state = state;
    this.#updatedAt = Date.now();
    this.#tellState();
    this.onChange();
  }

  #tellState(): void {
    this.#tell({ case: 'stateChanged', value: this.describe() });
  }

  #tell(event: Event): void {
    const sequence = BigInt(++this.#sequence);
    this.#events.push(
      create(WatchTrainingJobResponseSchema, {
        sequence,
        eventTime: timestampFromMs(Date.now()),
        event,
      }),
    );
    if (this.#events.length > mostEvents) this.#events.splice(0, this.#events.length - mostEvents);
    for (const waiter of [...this.#waiters]) waiter();
  }

  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}

function failure(outcome: string): EmuError {
  return new EmuError('INVALID_CONFIG', `[training] the run ended with ${outcome}`, {
    hint: 'WatchTrainingJob has its log.',
    details: { outcome },
  });
}

function parsedObject(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
