import { elementCount, EmuError } from '@emu/program';

import { programFlops } from '../../models/estimate.js';
import { optimizerSettings, type OptimizerSettings } from '../optimizer/parameter-settings.js';
import type { Recipe } from '../recipe/schema.js';
import type { TrainingTask } from '../task.js';
import type { Hardware } from './hardware.js';
import {
  gibibytes,
  memoryAdvice,
  memoryText,
  plannedPrograms,
  trainingMemory,
  type TrainingMemory,
} from './memory.js';

/** What a run will need, known before it starts. */
export interface TrainingPlan {
  readonly task: string;
  readonly parameters: { readonly trained: number; readonly frozen: number };
  readonly hardware: Hardware;
  /** Bytes on each device. */
  readonly memory: TrainingMemory;
  /** Whether they fit. */
  readonly fits: boolean;
  readonly time: {
    readonly steps: number;
    /** Samples of a step, over all devices; unknown for a task that packs them into rows. */
    readonly samplesPerStep?: number;
    /** Rows of a step, over all devices, of a task that packs samples into them. */
    readonly rowsPerStep?: number;
    /** Operations of a step on one device: forward, backward and what makes the batches. */
    readonly flopsPerStep: number;
    readonly secondsPerStep: number;
    readonly seconds: number;
  };
  readonly disk: TrainingDisk;
}

/** Bytes of files that a run writes. */
export interface TrainingDisk {
  readonly checkpoint: number;
  /** Checkpoints that are there at once, one being written. */
  readonly checkpoints: number;
  readonly model: number;
  readonly total: number;
}

// One is written before the oldest is taken away.
const beingWritten = 1;

/**
 * Plans a run: nothing is allocated, no data is read.
 * @throws EmuError INVALID_CONFIG for a recipe that does not fit the task.
 */
export function planTraining(task: TrainingTask, recipe: Recipe, hardware: Hardware): TrainingPlan {
  const settings = optimizerSettings(recipe, task.parameters);
  const programs = plannedPrograms(task, settings, recipe);
  const oneDevice = trainingMemory(task, programs, settings, recipe);
  const memory = hardware.gpus === 1 ? oneDevice : shardedMemory(oneDevice, recipe, hardware);
  const { trained, frozen } = parameterCounts(settings);

  const flopsPerRun = programs.map((program) => programFlops(program));
  const meanFlops = flopsPerRun.reduce((sum, flops) => sum + flops, 0) / programs.length;
  const flopsPerStep =
    (meanFlops + (task.companion?.flopsPerBatch ?? 0)) * recipe.gradient_accumulation_steps;
  const secondsPerStep = flopsPerStep / (hardware.flops * hardware.efficiency);
  const steps = recipe.max_steps;
  const batch = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps * hardware.gpus;
  return {
    task: task.name,
    parameters: { trained, frozen },
    hardware,
    memory,
    fits: memory.total <= hardware.memory,
    time: {
      steps,
      ...(task.batchUnit === 'rows' ? { rowsPerStep: batch } : { samplesPerStep: batch }),
      flopsPerStep,
      secondsPerStep,
      seconds: secondsPerStep * steps,
    },
    disk: trainingDisk(settings, recipe),
  };
}

function parameterCounts({ trained, frozen }: OptimizerSettings): {
  readonly trained: number;
  readonly frozen: number;
} {
  const count = (parameters: readonly { readonly shape: readonly number[] }[]): number =>
    parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { trained: count(trained.map(({ parameter }) => parameter)), frozen: count(frozen) };
}

/** What a run will write: checkpoints, as many as are kept at once, and the model. */
export function trainingDisk(settings: OptimizerSettings, recipe: Recipe): TrainingDisk {
  const { trained, frozen } = parameterCounts(settings);
  const tensors = 3 + (recipe.ema_decay > 0 ? 1 : 0);
  const checkpoint = 4 * tensors * trained;
  const saves = recipe.save_steps > 0 ? Math.ceil(recipe.max_steps / recipe.save_steps) : 1;
  const checkpoints = Math.min(saves, recipe.save_total_limit + beingWritten);
  const model = (recipe.bf16 ? 2 : 4) * (trained + frozen);
  return { checkpoint, checkpoints, model, total: checkpoint * checkpoints + model };
}

/**
 * Bytes per device when the optimizer (ZeRO stage 1) or everything (stage 3) is spread over devices: each computes with
 * weights and gradients in the dtype of the matrices, and keeps its share of the f32 masters, moments and averages.
 */
function shardedMemory(memory: TrainingMemory, recipe: Recipe, { gpus, sharding }: Hardware): TrainingMemory {
  if (sharding === 'none') return memory;
  const elements = memory.weights / 4;
  const bytes = recipe.bf16 ? 2 : 4;
  const share = sharding === 'full' ? gpus : 1;
  const working = (bytes * elements) / share;
  const masters = memory.weights / gpus;
  const sharded = {
    weights: working + (recipe.bf16 || share === 1 ? masters : 0),
    frozen: memory.frozen / share,
    gradients: working,
    moments: memory.moments / gpus,
    average: memory.average / gpus,
    // The rounded copies are the working weights, counted above.
    activations: memory.activations - memory.copies,
    companion: memory.companion / share,
    copies: 0,
  };
  const total = Object.values(sharded).reduce((sum, value) => sum + value, 0);
  return { ...sharded, total };
}

/**
 * Refuses a plan that does not fit the hardware.
 * @throws EmuError OUT_OF_MEMORY with the plan, the limit and what to do.
 */
export function requireFit(plan: TrainingPlan, recipe: Recipe): void {
  const { hardware, memory, disk } = plan;
  if (!plan.fits) {
    const spread = hardware.gpus > 1 && hardware.sharding !== 'full' ? ' Or spread it: sharding=full.' : '';
    throw new EmuError(
      'OUT_OF_MEMORY',
      `[train] ${plan.task} needs ${memoryText(memory)}; a device has ${gibibytes(hardware.memory)} GiB`,
      { hint: memoryAdvice(memory, recipe) + spread, details: { memory, available: hardware.memory } },
    );
  }
  if (hardware.disk !== undefined) requireDisk(disk, hardware.disk);
}

/**
 * Refuses a run whose files have no room.
 * @throws EmuError OUT_OF_MEMORY with what they need and what there is.
 */
export function requireDisk(disk: TrainingDisk, availableBytes: number): void {
  if (disk.total <= availableBytes) return;
  const checkpoints = disk.checkpoints === 1 ? 'a checkpoint' : `${disk.checkpoints} checkpoints`;
  throw new EmuError(
    'OUT_OF_MEMORY',
    `[train] ${checkpoints} and the model need ${gibibytes(disk.total)} GiB of disk; ` +
      `there are ${gibibytes(availableBytes)} GiB`,
    {
      hint: 'Lower save_total_limit, free space, or give another output_dir.',
      details: { disk, available: availableBytes },
    },
  );
}

/** A plan as lines for people. */
export function planText(plan: TrainingPlan): string {
  const { hardware, parameters, memory, time, disk } = plan;
  const devices =
    `${hardware.gpus} x ${teraflops(hardware.flops)} TFLOP/s${hardware.measured ? ' (measured)' : ''} at ` +
    `${Math.round(100 * hardware.efficiency)} %, ${gibibytes(hardware.memory)} GiB each` +
    (hardware.gpus > 1 ? `, sharding ${hardware.sharding}` : '');
  return [
    `task        ${plan.task}: ${millions(parameters.trained)} trained, ${millions(parameters.frozen)} frozen parameters`,
    `hardware    ${devices}`,
    `memory      ${memoryText(memory)}${hardware.gpus > 1 ? ', on each device' : ''}${plan.fits ? '' : '  DOES NOT FIT'}`,
    `time        ${time.steps} steps of ${batchText(time)}, ${secondsText(time.secondsPerStep)} each: ` +
      secondsText(time.seconds),
    `disk        ${gibibytes(disk.total)} GiB: ${disk.checkpoints} checkpoints of ${gibibytes(disk.checkpoint)}, model ${gibibytes(disk.model)}`,
  ].join('\n');
}

function batchText({ samplesPerStep, rowsPerStep }: TrainingPlan['time']): string {
  return rowsPerStep === undefined ? `${samplesPerStep} samples` : `${rowsPerStep} rows of packed samples`;
}

function millions(count: number): string {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} G` : `${(count / 1e6).toFixed(count < 1e7 ? 3 : 1)} M`;
}

function teraflops(flops: number): string {
  return flops >= 1e13 ? (flops / 1e12).toFixed(0) : (flops / 1e12).toPrecision(2);
}

/** `2.1 days`, `3.4 h`, `12 min`, `0.41 s`. */
export function secondsText(seconds: number): string {
  if (seconds >= 2 * 86_400) return `${(seconds / 86_400).toFixed(1)} days`;
  if (seconds >= 7200) return `${(seconds / 3600).toFixed(1)} h`;
  if (seconds >= 120) return `${Math.round(seconds / 60)} min`;
  return seconds >= 10 ? `${Math.round(seconds)} s` : `${seconds.toPrecision(2)} s`;
}
