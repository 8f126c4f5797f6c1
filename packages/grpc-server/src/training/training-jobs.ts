import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError } from '@emu/program';
import type { CreateTrainingJobRequest } from '@emu/proto';
import { parseRecipe, trainingStages } from '@emu/sdk/train';
import type { Logger } from 'pino';

import { mayUse, type Caller } from '../access/caller.js';
import { badField, checkCount } from '../convert/fields.js';
import { storeJob, storedJobs, storeRecord, type JobRecord } from './job-record.js';
import { TrainingJob, type JobCommand } from './training-job.js';

export interface TrainingOptions {
  /** Every job gets a folder of its own in it. */
  readonly folder: string;
  /** What trains: a program and its first arguments; a recipe and `key=value` follow. */
  readonly command: readonly [string, ...string[]];
  /** Jobs that run at a time; the others wait. Default 1. */
  readonly concurrent?: number;
}

const mostJobs = 1000;
const longestRecipe = 256 * 1024;

/** Training jobs of a server, newest last. Each is a child process, so that one that dies harms nothing else. */
export class TrainingJobs {
  readonly #options: TrainingOptions;
  readonly #log: Logger;
  readonly #jobs = new Map<string, TrainingJob>();
  readonly #requests = new Map<string, { readonly digest: string; readonly job: TrainingJob }>();
  readonly #queue: TrainingJob[] = [];
  readonly #running = new Set<Promise<void>>();
  /** Records on their way to the disk, in their order. */
  #saved: Promise<unknown> = Promise.resolve();
  /** The check of a recipe that came last: each waits for the one before. */
  #checks: Promise<unknown> = Promise.resolve();
  /** Nothing runs before `start` and after `close`. */
  #mayRun = false;

  constructor(options: TrainingOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  /** @throws EmuError INVALID_OPTION, REQUEST_CONFLICT, RATE_LIMITED with the field. */
  async create(request: CreateTrainingJobRequest, caller: Caller): Promise<TrainingJob> {
    const { requestId } = request;
    const repeatKey = `${caller.name}\n${requestId}`;
    const digest = createHash('sha256')
      .update(JSON.stringify([request.recipeYaml, request.overrides, request.trainingJobId]))
      .digest('hex');
    const known = requestId === '' ? undefined : this.#requests.get(repeatKey);
    if (known?.digest === digest) return known.job;
    if (known !== undefined) throw conflict('request_id', requestId);
    const id = request.trainingJobId === '' ? randomUUID() : request.trainingJobId;
    this.#check(request, id);
    const job = this.#add({
      id,
      owner: caller.name,
      recipe: request.recipeYaml,
      overrides: request.overrides,
      requestId,
      digest,
    });
    const { spec, record } = job;
    const stored = this.#saved.then(() => storeJob(spec.folder, { record, recipe: spec.recipe }));
    this.#saved = stored.catch(() => undefined);
    try {
      await stored;
    } catch (error) {
      this.#forget(job);
      throw error;
    }
    this.#queue.push(job);
    this.#startNext();
    return job;
  }

  /** Takes up what an earlier server with this folder left, before calls come: what is over is told of, what is not waits. */
  async restore(): Promise<void> {
    const stored = await storedJobs(this.#options.folder, this.#log);
    for (const { record, recipe } of stored.slice(-mostJobs)) {
      const job = this.#add({ ...record, recipe }, record);
      if (!job.isOver) this.#queue.push(job);
    }
  }

  /** Lets jobs run. */
  start(): void {
    this.#mayRun = true;
    this.#startNext();
  }

  #add(asked: Omit<JobCommand, 'command' | 'folder'>, record?: JobRecord): TrainingJob {
    const { id, owner, recipe, overrides, requestId, digest } = asked;
    const folder = join(this.#options.folder, id);
    const job: TrainingJob = new TrainingJob(
      {
        ...{ id, owner, recipe, overrides, requestId, digest, folder },
        // The folder comes last: no override of the caller's may put the run elsewhere.
        command: [...this.#options.command, 'recipe.yaml', ...overrides, `output_dir=${join(folder, 'run')}`],
      },
      record,
      () => {
        this.#save(job);
      },
    );
    this.#jobs.set(id, job);
    if (requestId !== '') this.#requests.set(`${owner}\n${requestId}`, { digest, job });
    return job;
  }

  #save({ spec, record }: TrainingJob): void {
    this.#saved = this.#saved
      .then(() => storeRecord(spec.folder, record))
      .catch((err: unknown) => {
        this.#log.error({ err, job: spec.id }, 'the record of a training job could not be written');
      });
  }

  /** Runs the plan of a recipe and starts nothing. @throws EmuError INVALID_CONFIG with what it says. */
  async validate(
    request: CreateTrainingJobRequest,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<TrainingJob> {
    const id = `check-${randomUUID()}`;
    this.#check(request, id);
    const folder = join(this.#options.folder, id);
    const [program, ...args] = this.#options.command;
    const overrides = [...request.overrides, `output_dir=${join(folder, 'run')}`];
    const job = new TrainingJob({
      id,
      owner: caller.name,
      recipe: request.recipeYaml,
      overrides,
      ...{ requestId: '', digest: '' },
      folder,
      command: [program, ...args, 'recipe.yaml', ...overrides, '--dry-run'],
    });
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'recipe.yaml'), request.recipeYaml);
    const cancel = (): void => {
      job.cancel();
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const checked = this.#checks.then(() => job.run());
      this.#checks = checked.catch(() => undefined);
      await checked;
    } finally {
      signal.removeEventListener('abort', cancel);
      await rm(folder, { recursive: true, force: true });
    }
    return job;
  }

  /** By resource name. @throws EmuError JOB_NOT_FOUND. */
  find(name: string, caller: Caller): TrainingJob {
    const job = this.#jobs.get(name.replace(/^trainingJobs\//, ''));
    if (job !== undefined && name.startsWith('trainingJobs/') && mayUse(caller, job.spec.owner)) return job;
    throw new EmuError('JOB_NOT_FOUND', `[name] there is no job ${JSON.stringify(name.slice(0, 80))}`, {
      hint: 'ListTrainingJobs names those there are.',
      details: { field: 'name', resource: name },
    });
  }

  /** Newest first. */
  list(caller: Caller): readonly TrainingJob[] {
    return [...this.#jobs.values()].filter(({ spec }) => mayUse(caller, spec.owner)).reverse();
  }

  /** Stops all jobs at a safe point and waits for them; `restore` of the next server goes on with them. */
  async close(): Promise<void> {
    this.#mayRun = false;
    for (const job of this.#jobs.values()) job.interrupt();
    await Promise.all(this.#running);
    await this.#saved;
  }

  #check({ recipeYaml, overrides }: CreateTrainingJobRequest, id: string): void {
    if (recipeYaml.trim() === '') throw badField('recipe_yaml', 'is empty', { code: 'INVALID_CONFIG' });
    if (recipeYaml.length > longestRecipe)
      throw badField(
        'recipe_yaml',
        `has ${recipeYaml.length} characters, at most ${longestRecipe} are accepted`,
      );
    checkCount('overrides', overrides.length, 256);
    for (const [index, override] of overrides.entries()) {
      // It becomes an argument of the command line, and must not become a flag of it.
      if (!/^[a-z_][\w.[\]-]*=/i.test(override) || override.length > 4096) {
        throw badField(`overrides[${index}]`, 'must be key=value', { details: { override } });
      }
    }
    if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(id)) {
      throw badField('training_job_id', 'must be 1 to 64 lower-case letters, digits and "-"');
    }
    // Read here too: who sends a wrong key gets it back at once, not from a job that failed.
    try {
      parseRecipe('recipe_yaml', recipeYaml, [...overrides, 'output_dir=run'], trainingStages);
    } catch (error) {
      throw refusedRecipe(EmuError.from(error));
    }
    if (this.#jobs.has(id)) throw conflict('training_job_id', id);
    if (this.#jobs.size >= mostJobs) this.#forgetOldest();
  }

  /** Makes room; the run folder stays. @throws EmuError RATE_LIMITED when no job is over. */
  #forgetOldest(): void {
    const oldest = [...this.#jobs.values()].find(({ isOver }) => isOver);
    if (oldest === undefined) {
      throw new EmuError(
        'RATE_LIMITED',
        `[training] ${mostJobs} jobs wait or run, there is no room for more`,
      );
    }
    this.#forget(oldest);
  }

  #forget(job: TrainingJob): void {
    this.#jobs.delete(job.spec.id);
    for (const [key, request] of this.#requests) if (request.job === job) this.#requests.delete(key);
  }

  #startNext(): void {
    if (!this.#mayRun || this.#running.size >= (this.#options.concurrent ?? 1)) return;
    const job = this.#queue.shift();
    if (job === undefined) return;
    const run = job.run().catch((error: unknown) => {
      this.#log.error({ err: EmuError.from(error), job: job.spec.id }, 'a training job could not be run');
    });
    this.#running.add(run);
    void run.then(() => {
      this.#running.delete(run);
      this.#startNext();
    });
  }
}

function refusedRecipe({ code, message, hint, details }: EmuError): EmuError {
  return new EmuError(code, message, {
    ...(hint && { hint }),
    details: { ...details, field: 'recipe_yaml' },
  });
}

function conflict(field: string, value: string): EmuError {
  return new EmuError(
    'REQUEST_CONFLICT',
    `[${field}] ${JSON.stringify(value.slice(0, 80))} is taken by another job`,
    {
      hint: 'Choose another one.',
      details: { field, value },
    },
  );
}
