import { join } from 'node:path';

import { EmuError } from '@emu/program';

import type { Recipe } from '../recipe/schema.js';
import { removeOldCheckpoints, writeCheckpoint } from '../run-folder/checkpoint.js';
import type { RunLogs } from '../run-folder/run-logs.js';
import { writeSamples } from '../run-folder/sample-files.js';
import { scheduleFactor } from '../schedule.js';
import type { TrainingTask } from '../task.js';
import { BatchQueue } from './batch-queue.js';
import type { TrainingWatcher } from './events.js';
import { decidingKeys } from './resume.js';
import type { RunProgress } from './run-progress.js';
import { meanTerms, trainingStep, type StepResult } from './training-step.js';
import type { LossTerms, TrainingSession } from './training-session.js';

export interface TrainingRunParts {
  readonly task: TrainingTask;
  readonly recipe: Recipe;
  readonly folder: string;
  readonly session: TrainingSession;
  readonly progress: RunProgress;
  readonly logs: RunLogs;
  readonly emit: TrainingWatcher;
  readonly signal: AbortSignal | undefined;
  /** Folder of the checkpoint that the run went on from. */
  readonly lastCheckpoint: string | undefined;
}

/** The loop over steps: everything that happens between opening a run and saving its model. */
export class TrainingRun {
  readonly #parts: TrainingRunParts;
  #lastCheckpoint: string | undefined;
  #savedStep: number;
  /** The newest line of the log. */
  lastMetrics: Readonly<Record<string, number>> = {};

  constructor(parts: TrainingRunParts) {
    this.#parts = parts;
    this.#lastCheckpoint = parts.lastCheckpoint;
    this.#savedStep = parts.lastCheckpoint === undefined ? -1 : parts.progress.step;
  }

  /**
   * Steps until the last one, the end of the data or the signal; then a checkpoint, unless the signal came before the
   * first step. The signal's reason is thrown when the checkpoint is safe.
   */
  async steps(): Promise<void> {
    const { task, recipe, progress, signal, emit } = this.#parts;
    const before = progress.step;
    const queue = new BatchQueue(task.batches(progress.position));
    try {
      // It may take long, when a frozen model is opened for it: a signal by then must not wait for a step too.
      await queue.ready();
      while (progress.step < recipe.max_steps && signal?.aborted !== true) {
        if (!(await this.#step(queue))) {
          emit({
            type: 'warning',
            message: `the data ended after step ${progress.step} of ${recipe.max_steps}`,
          });
          break;
        }
      }
      const isUnchanged = signal?.aborted === true && progress.step === before;
      if (this.#savedStep !== progress.step && !isUnchanged) await this.#checkpoint();
    } catch (error) {
      // Nothing that was trained is lost with a broken sample: the parameters are those of the last whole step.
      if (queue.hasFailed && this.#savedStep !== progress.step && progress.step > before)
        await this.#checkpoint();
      throw error;
    } finally {
      await queue.close();
    }
    signal?.throwIfAborted();
  }

  async #step(queue: BatchQueue): Promise<boolean> {
    const { recipe, session, progress } = this.#parts;
    const start = performance.now();
    const factor = scheduleFactor(
      {
        type: recipe.lr_scheduler_type,
        warmupSteps: recipe.warmup_steps,
        maxSteps: recipe.max_steps,
        minimumRatio: recipe.min_learning_rate_ratio,
      },
      progress.step,
    );
    const step = progress.step + 1;
    const result = await trainingStep(session, queue, recipe, step, factor, this.#lastCheckpoint);
    if (result === undefined) return false;
    const seconds = (performance.now() - start) / 1000;
    progress.add(result, seconds);
    const learningRate = recipe.learning_rate * factor;
    this.#tellStep(result, seconds, learningRate);
    const isLast = step === recipe.max_steps;
    const isDue = (every: number): boolean => every > 0 && (step % every === 0 || isLast);
    if (isDue(recipe.logging_steps)) await this.#log(progress.metrics(learningRate));
    if (isDue(recipe.eval_steps)) await this.#evaluate();
    if (isDue(recipe.sample_steps)) await this.#sample();
    if (isDue(recipe.save_steps)) await this.#checkpoint();
    return true;
  }

  #tellStep({ terms, gradientNorm, counts }: StepResult, seconds: number, learningRate: number): void {
    const { recipe, progress, emit } = this.#parts;
    emit({
      type: 'step',
      step: progress.step,
      maxSteps: recipe.max_steps,
      terms,
      gradientNorm,
      learningRate,
      tokensPerSecond: counts.tokens / Math.max(seconds, 1e-9),
      etaSeconds: progress.etaSeconds(recipe.max_steps),
    });
  }

  async #log(metrics: Readonly<Record<string, number>>): Promise<void> {
    this.lastMetrics = { ...this.lastMetrics, ...metrics };
    await this.#parts.logs.metrics(metrics);
    this.#parts.emit({ type: 'metrics', metrics });
  }

  /** Mean losses over the held-out batches, each batch counting the same. */
  async #evaluate(): Promise<void> {
    const { task, session, progress } = this.#parts;
    const stream = task.heldOutBatches?.();
    if (stream === undefined) return;
    const terms: LossTerms[] = [];
    try {
      for (let batch = await stream.next(); batch !== undefined; batch = await stream.next()) {
        terms.push(await session.loss(batch));
      }
    } finally {
      await stream.close();
    }
    const means = Object.entries(meanTerms(terms)).map(([name, value]) => [`eval_${name}`, value] as const);
    if (means.length > 0) await this.#log({ step: progress.step, ...Object.fromEntries(means) });
  }

  /** Samples are for people: when they fail, the run tells so and goes on. */
  async #sample(): Promise<void> {
    const { task, session, progress, folder, logs, emit, signal } = this.#parts;
    if (task.samples === undefined) return;
    const { step } = progress;
    try {
      const samples = await task.samples({ step, weights: session.weights, ...(signal && { signal }) });
      const path = await writeSamples(folder, step, samples);
      await logs.samples(step, samples);
      emit({ type: 'samples', step, folder: path, samples });
    } catch (error) {
      // A stop is dealt with by the loop, a full disk would only fail again.
      if (signal?.aborted === true) return;
      if (EmuError.isInstance(error) && error.code === 'OUT_OF_MEMORY') throw error;
      const reason = error instanceof Error ? error.message : String(error);
      emit({ type: 'warning', message: `samples of step ${step} failed: ${reason}` });
    }
  }

  async #checkpoint(): Promise<void> {
    const { task, recipe, progress, folder, session, logs, emit } = this.#parts;
    const { step, position, totals, window } = progress;
    const path = await writeCheckpoint(
      folder,
      {
        format: 'emu-training-checkpoint',
        version: 2,
        step,
        task: task.name,
        recipe: decidingKeys(recipe) as never,
        position: position as never,
        totals,
        window: window.toJSON(),
        logs: await logs.sync(),
      },
      session.states(),
    );
    this.#savedStep = step;
    this.#lastCheckpoint = path;
    emit({ type: 'checkpoint', step, folder: path });
    await removeOldCheckpoints(folder, recipe.save_total_limit);
  }
}

/** Where a run's finished model is. */
export const modelFolder = (runFolder: string): string => join(runFolder, 'model');
