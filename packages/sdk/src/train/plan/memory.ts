import { byteLength, elementCount, EmuError, type Program, type ValueId } from '@emu/program';

import { peakScratchBytes } from '../../models/estimate.js';
import type { OptimizerSettings } from '../optimizer/parameter-settings.js';
import type { Recipe } from '../recipe/schema.js';
import type { TrainingTask } from '../task.js';
import { gradientProgram } from '../trainer/training-session.js';

/** Bytes that a run needs on one device, by what they are for. */
export interface TrainingMemory {
  /** Trained parameters in f32. */
  readonly weights: number;
  readonly frozen: number;
  readonly gradients: number;
  /** AdamW's two moments. */
  readonly moments: number;
  /** The exponential average of the weights. */
  readonly average: number;
  /** The most that forward and backward pass of a micro-batch hold at once, rounded copies of weights included. */
  readonly activations: number;
  /** Models that make the batches. */
  readonly companion: number;
  /** The rounded copies among the activations: trained weights in the dtype of the matrices. */
  readonly copies: number;
  readonly total: number;
}

/** The programs of forward and backward pass that a plan looks at. Traced, not compiled: any size can be planned. */
export function plannedPrograms(
  task: TrainingTask,
  { trained }: OptimizerSettings,
  recipe: Pick<Recipe, 'gradient_checkpointing'>,
): readonly Program[] {
  const names = new Set(trained.map(({ parameter }) => parameter.name));
  return task.programKeys.map((key) =>
    gradientProgram(task, names, key, { recompute: recipe.gradient_checkpointing }),
  );
}

/** What a run needs; alignment of the backend is not counted. */
export function trainingMemory(
  task: Pick<TrainingTask, 'companion'>,
  programs: readonly Program[],
  { trained }: OptimizerSettings,
  recipe: Pick<Recipe, 'ema_decay'>,
): TrainingMemory {
  const elements = trained.reduce((sum, { parameter }) => sum + elementCount(parameter.shape), 0);
  const weights = 4 * elements;
  const frozenBytes = new Map<string, number>();
  for (const program of programs) {
    for (const { name, layout, value } of program.weights) {
      frozenBytes.set(`${layout} ${name}`, valueBytes(program, value));
    }
  }
  const frozen = [...frozenBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
  const activations = Math.max(0, ...programs.map(peakScratchBytes));
  const withoutCopies = Math.max(
    0,
    ...programs.map((program) => peakScratchBytes(withoutWeightCopies(program))),
  );
  const average = recipe.ema_decay > 0 ? weights : 0;
  const companion = task.companion?.bytes ?? 0;
  return {
    weights,
    frozen,
    gradients: weights,
    moments: 2 * weights,
    average,
    activations,
    companion,
    copies: activations - withoutCopies,
    total: 4 * weights + average + frozen + activations + companion,
  };
}

/** The program as if casts of states took no room. */
function withoutWeightCopies(program: Program): Program {
  const states = new Set(program.states.map(({ value }) => value));
  const copies = new Set<ValueId>();
  for (const { op, inputs, outputs } of program.calls) {
    if (op === 'cast' && states.has(inputs[0] ?? -1)) for (const id of outputs) copies.add(id);
  }
  const values = program.values.map((type, id) => (copies.has(id) ? { ...type, shape: [0] } : type));
  return { ...program, values };
}

function valueBytes(program: Program, id: ValueId): number {
  const type = program.values[id];
  return type === undefined ? 0 : byteLength(type);
}

/** `8.1 GiB: weights 2.0, gradients 2.0, moments 4.0, activations 0.1`. */
export function memoryText(memory: TrainingMemory): string {
  const { total, weights, frozen, gradients, moments, average, activations, companion } = memory;
  const parts = Object.entries({ weights, frozen, gradients, moments, average, activations, companion })
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${name} ${gibibytes(bytes)}`);
  return `${gibibytes(total)} GiB: ${parts.join(', ')}`;
}

export function gibibytes(bytes: number): string {
  const value = bytes / 2 ** 30;
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2);
}

/**
 * Refuses a size that cannot run here, before anything is made.
 * @throws EmuError OUT_OF_MEMORY with the plan and what there is.
 */
export function requireTrainingMemory(
  task: TrainingTask,
  settings: OptimizerSettings,
  recipe: Recipe,
  availableBytes: number,
): void {
  const memory = trainingMemory(task, plannedPrograms(task, settings, recipe), settings, recipe);
  if (memory.total <= availableBytes) return;
  throw new EmuError(
    'OUT_OF_MEMORY',
    `[train] ${task.name} needs ${memoryText(memory)}; there are ${gibibytes(availableBytes)} GiB`,
    {
      hint: memoryAdvice(memory, recipe),
      details: { ...memory, availableBytes },
    },
  );
}

/** What would help most. */
export function memoryAdvice(memory: TrainingMemory, recipe: Recipe): string {
  if (memory.activations <= memory.total / 2) {
    return 'Freeze modules in parameter_rules, train adapters instead, or take a smaller model.';
  }
  const recompute = recipe.gradient_checkpointing ? '' : 'Set gradient_checkpointing: true, or l';
  return `${recompute === '' ? 'L' : recompute}ower per_device_train_batch_size and raise gradient_accumulation_steps.`;
}
