import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError } from '@emu/program';
import { parse } from 'yaml';

import { listCheckpoints } from './checkpoint.js';
import { lockHolder } from './run-lock.js';
import { metricsFile } from './run-logs.js';

/** What a run folder says of its run. */
export interface RunStatus {
  readonly folder: string;
  /** Stage of its recipe. */
  readonly stage: string;
  /** `stopped`: neither at work nor finished; the same command goes on with it. */
  readonly state: 'running' | 'stopped' | 'finished';
  /** Process that trains there, or null. */
  readonly pid: number | null;
  /** Step of the newest line of the log, 0 before the first. */
  readonly step: number;
  readonly maxSteps: number;
  /** The newest line of the log. */
  readonly metrics: Readonly<Record<string, number>>;
}

// Run folders lie at most this deep below the folder that is searched.
const deepest = 4;
const recipeFile = 'recipe.yaml';

/**
 * Reads where a run stands, while it runs or later.
 * @throws EmuError JOB_NOT_FOUND if the folder is none of a run.
 */
export async function readRunStatus(folder: string): Promise<RunStatus> {
  const text = await readFile(join(folder, recipeFile), 'utf8').catch(() => undefined);
  const recipe: unknown = text === undefined ? undefined : parse(text);
  if (typeof recipe !== 'object' || recipe === null || !('stage' in recipe) || !('max_steps' in recipe)) {
    throw new EmuError('JOB_NOT_FOUND', `[train] ${folder} is not the folder of a run`, {
      hint: 'Name the output_dir of a recipe.',
      details: { folder },
    });
  }
  const pid = await lockHolder(folder);
  const metrics = await lastLine(join(folder, metricsFile));
  const isFinished = await modelIsNewest(folder);
  return {
    folder,
    stage: String(recipe.stage),
    state: pid !== undefined ? 'running' : isFinished ? 'finished' : 'stopped',
    pid: pid ?? null,
    step: metrics['step'] ?? 0,
    maxSteps: Number(recipe.max_steps),
    metrics,
  };
}

/** The run folders in a folder and those below it, by path. */
export async function findRuns(folder: string, depth = 0): Promise<readonly RunStatus[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  if (entries.some(({ name }) => name === recipeFile)) {
    return readRunStatus(folder).then(
      (status) => [status],
      // Another tool's recipe.yaml.
      () => [],
    );
  }
  if (depth === deepest) return [];
  const below: RunStatus[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) below.push(...(await findRuns(join(folder, entry.name), depth + 1)));
  }
  return below;
}

/** Whether the saved model has the weights of the newest checkpoint. */
async function modelIsNewest(folder: string): Promise<boolean> {
  const newest = (await listCheckpoints(folder)).at(-1);
  const text = await readFile(join(folder, 'model', 'training.json'), 'utf8').catch(() => '');
  return newest !== undefined && text.includes(`"step":${newest.step}}`);
}

async function lastLine(path: string): Promise<Readonly<Record<string, number>>> {
  const text = await readFile(path, 'utf8').catch(() => '');
  // What follows the last line feed is being written.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  const line = lines.findLast((each) => each.includes('"loss"'));
  return line === undefined ? {} : (JSON.parse(line) as Record<string, number>);
}
