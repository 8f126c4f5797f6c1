import { readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { elementCount, EmuError, type Backend } from '@emu/program';
import { stringify } from 'yaml';

import { makeFolder, syncFolder, writeError, writeText } from '../../weights/atomic-file.js';
import { optimizerSettings, type OptimizerSettings } from '../optimizer/parameter-settings.js';
import { requireTrainingMemory } from '../plan/memory.js';
import { requireDisk, trainingDisk } from '../plan/plan.js';
import type { Recipe } from '../recipe/schema.js';
import { reportFile, writeReport } from '../report/write-report.js';
import { listCheckpoints } from '../run-folder/checkpoint.js';
import { lockFolder } from '../run-folder/run-lock.js';
import { metricsFile, RunLogs } from '../run-folder/run-logs.js';
import type { TrainingTask } from '../task.js';
import type { TrainingEvent, TrainingWatcher } from './events.js';
import { findCheckpoint, type Resumption } from './resume.js';
import { RunProgress } from './run-progress.js';
import { modelFolder, TrainingRun } from './training-run.js';
import { TrainingSession } from './training-session.js';

export interface TrainOptions {
  readonly backend: Backend;
  readonly task: TrainingTask;
  /** With the stage's own keys; `output_dir` is the run folder. */
  readonly recipe: Recipe;
  /** The recipe as text with the origin of each value, for the run folder; without it the recipe is written plainly. */
  readonly recipeText?: string;
  readonly threads?: number;
  /** Bytes that the run may use; it is refused beforehand when it needs more. Default: no limit. */
  readonly memoryLimitBytes?: number;
  /** Bytes of disk that a new run may use; it is refused beforehand when it needs more. Default: no limit. */
  readonly diskLimitBytes?: number;
  /** Stops after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  readonly onEvent?: TrainingWatcher;
}

export interface TrainResult {
  /** Steps made in all. */
  readonly step: number;
  readonly folder: string;
  /** Folder of the trained model. */
  readonly model: string;
  /** Path of the HTML report. */
  readonly report: string;
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Trains a task by a recipe, from the newest checkpoint in the run folder if there is one: a run that was killed at any
 * moment and is started again ends with the same bytes as one that was not.
 * @throws EmuError INVALID_CONFIG for a recipe that does not fit the task or the run folder; NON_FINITE naming batch and
 *   op; OUT_OF_MEMORY for a size that cannot run or a full disk; REQUEST_CONFLICT if another process trains there;
 *   `signal.reason`, when the checkpoint is safe.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { task, recipe, signal } = options;
  const folder = recipe.output_dir;
  const settings = optimizerSettings(recipe, task.parameters);
  if (options.memoryLimitBytes !== undefined) {
    requireTrainingMemory(task, settings, recipe, options.memoryLimitBytes);
  }
  // One that goes on has most of its files already.
  if (options.diskLimitBytes !== undefined && (await listCheckpoints(folder)).length === 0) {
    requireDisk(trainingDisk(settings, recipe), options.diskLimitBytes);
  }
  await task.checkSamples?.();
  signal?.throwIfAborted();
  await makeFolder(folder);
  const unlock = await lockFolder(folder);
  try {
    return await trainInFolder(options, folder, settings);
  } finally {
    await unlock();
  }
}

async function trainInFolder(
  options: TrainOptions,
  folder: string,
  settings: OptimizerSettings,
): Promise<TrainResult> {
  const { task, recipe, signal } = options;
  const emit = (event: TrainingEvent): void => options.onEvent?.(event);
  const resumption = await findCheckpoint(folder, recipe, (message) => {
    emit({ type: 'warning', message });
  });
  const progress = resumption ? RunProgress.from(resumption.checkpoint.record) : new RunProgress();
  await writeText(join(folder, 'recipe.yaml'), options.recipeText ?? stringify(recipe));
  emit({
    type: 'started',
    task: task.name,
    folder,
    step: progress.step,
    maxSteps: recipe.max_steps,
    trainedParameters: count(settings.trained.map(({ parameter }) => parameter)),
    frozenParameters: count(settings.frozen),
    resumedFrom: resumption?.checkpoint.folder ?? null,
  });
  const session = TrainingSession.open(options.backend, task, settings, {
    ...(options.threads !== undefined && { threads: options.threads }),
    recompute: recipe.gradient_checkpointing,
    averageDecay: recipe.ema_decay,
  });
  try {
    await load(session, resumption, signal);
    const logs = await RunLogs.open(folder, {
      tensorboard: recipe.report_to.includes('tensorboard'),
      bytes: resumption?.sameRun === true ? resumption.checkpoint.record.logs : {},
      now: () => Date.now() / 1000,
    });
    const lastCheckpoint = resumption?.sameRun === true ? resumption.checkpoint.folder : undefined;
    const run = new TrainingRun({
      ...{ task, recipe, folder, session, progress, logs, emit, signal },
      lastCheckpoint,
    });
    try {
      await run.steps();
    } finally {
      await logs.close();
      await writeReport(folder, task.name).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        emit({ type: 'warning', message: `the report was not written: ${reason}` });
      });
    }
    const model = await saveModel(task, session, folder, progress.step);
    const report = join(folder, reportFile);
    const metrics = await lastMetrics(folder, run.lastMetrics);
    emit({ type: 'finished', step: progress.step, model, report, metrics });
    return { step: progress.step, folder, model, report, metrics };
  } finally {
    await session.dispose();
  }
}

async function load(
  session: TrainingSession,
  resumption: Resumption | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (resumption === undefined) await session.loadInitial(signal);
  else await session.restore(resumption.checkpoint.read, signal);
}

// Names the step whose weights are in the model folder, so that a finished run is not saved twice.
const stepFile = 'training.json';

/** Writes the model beside its final place and renames it there; one of the same step is kept. */
async function saveModel(
  task: TrainingTask,
  session: TrainingSession,
  folder: string,
  step: number,
): Promise<string> {
  const target = modelFolder(folder);
  const mark = `${JSON.stringify({ task: task.name, step })}\n`;
  if ((await readFile(join(target, stepFile), 'utf8').catch(() => '')) === mark) return target;
  const partial = `${target}.partial`;
  const old = `${target}.old`;
  try {
    await rm(partial, { recursive: true, force: true });
    await makeFolder(partial);
    await task.save(session.weights, partial);
    await writeText(join(partial, stepFile), mark);
    await syncFolder(partial);
    if (await exists(target)) {
      await rm(old, { recursive: true, force: true });
      await rename(target, old);
    }
    await rename(partial, target);
    await syncFolder(folder);
    await rm(old, { recursive: true, force: true });
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    throw EmuError.isInstance(error) ? error : writeError(error, target);
  }
  return target;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The last line of the log, for a run that had nothing left to do. */
async function lastMetrics(
  folder: string,
  known: Readonly<Record<string, number>>,
): Promise<Readonly<Record<string, number>>> {
  if (Object.keys(known).length > 0) return known;
  const lines = (await readFile(join(folder, metricsFile), 'utf8').catch(() => '')).trim().split('\n');
  const last = lines.at(-1) ?? '';
  return last === '' ? {} : (JSON.parse(last) as Record<string, number>);
}

function count(parameters: readonly { readonly shape: readonly number[] }[]): number {
  return parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}
