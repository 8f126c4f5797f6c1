import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeText } from '@emu/sdk/train';
import type { Logger } from 'pino';

/** Of the format of a record. */
export const recordVersion = 1;
const recordFile = 'job.json';
const recipeFile = 'recipe.yaml';

/** How a job ended; one that is `open` waits, runs, or was interrupted by the end of a server. */
const states = ['open', 'succeeded', 'failed', 'cancelled'] as const;

/** What of a job outlives its server. */
export interface JobRecord {
  readonly version: number;
  readonly id: string;
  readonly owner: string;
  readonly overrides: readonly string[];
  /** The caller's id of the request and what it asked for, so that a repeat finds the job; empty without one. */
  readonly requestId: string;
  readonly digest: string;
  readonly state: (typeof states)[number];
  /** Why it failed; empty unless it did. */
  readonly outcome: string;
  readonly step: number;
  readonly totalSteps: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A record with the recipe beside it. */
export interface StoredJob {
  readonly record: JobRecord;
  readonly recipe: string;
}

/** Makes the job's folder. */
export async function storeJob(folder: string, { record, recipe }: StoredJob): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeText(join(folder, recipeFile), recipe);
  await storeRecord(folder, record);
}

export async function storeRecord(folder: string, record: JobRecord): Promise<void> {
  await writeText(join(folder, recordFile), `${JSON.stringify(record, undefined, 2)}\n`);
}

/** All jobs in a folder of jobs, the oldest first. One whose record is damaged is logged and left where it is. */
export async function storedJobs(folder: string, log: Logger): Promise<readonly StoredJob[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const found: StoredJob[] = [];
  for (const name of names) {
    const read = (file: string): Promise<string> => readFile(join(folder, name, file), 'utf8');
    const text = await read(recordFile).catch(() => undefined);
    if (text === undefined) continue; // a folder of something else
    try {
      const record = checkedRecord(JSON.parse(text), name);
      found.push({ record, recipe: await read(recipeFile) });
    } catch (err) {
      log.error({ err, job: name }, 'the record of a training job cannot be read');
    }
  }
  return found.sort((a, b) => a.record.createdAt - b.record.createdAt);
}

function checkedRecord(value: unknown, folder: string): JobRecord {
  const record = value as JobRecord;
  const texts = [record.owner, record.requestId, record.digest, record.outcome, ...record.overrides];
  const counts = [record.step, record.totalSteps, record.createdAt, record.updatedAt];
  const isWhole =
    record.version === recordVersion &&
    record.id === folder &&
    states.includes(record.state) &&
    texts.every((text) => typeof text === 'string') &&
    counts.every((count) => Number.isSafeInteger(count) && count >= 0);
  if (!isWhole) throw new Error(`${recordFile} is not what a server of this version writes`);
  return record;
}
