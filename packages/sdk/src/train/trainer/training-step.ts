import type { JsonValue } from '../json-value.js';
import type { Recipe } from '../recipe/schema.js';
import type { BatchCounts, TrainingBatch } from '../task.js';
import type { BatchQueue } from './batch-queue.js';
import { explainNonFinite, nonFinite } from './non-finite.js';
import type { LossTerms, TrainingSession } from './training-session.js';

export interface StepResult {
  /** Means over the micro-batches that have a term. */
  readonly terms: LossTerms;
  /** Euclidean norm of all gradients together, of the mean over the micro-batches, before clipping. */
  readonly gradientNorm: number;
  readonly counts: BatchCounts;
  /** Where the data goes on. */
  readonly position: JsonValue;
}

export type StepRecipe = Pick<
  Recipe,
  'gradient_accumulation_steps' | 'max_grad_norm' | 'adam_beta1' | 'adam_beta2' | 'adam_epsilon'
>;

// As torch.nn.utils.clip_grad_norm_ has it.
const clipEpsilon = 1e-6;

/**
 * One optimizer step: micro-batches, the norm of their mean gradient, clipping, update. Undefined at the end of the
 * data; what is left of it, too little for a step, is not trained on.
 * `step` counts from 1. @throws EmuError NON_FINITE naming batch and op; the parameters are then as before the step.
 */
export async function trainingStep(
  session: TrainingSession,
  queue: BatchQueue,
  recipe: StepRecipe,
  step: number,
  scheduleFactor: number,
  lastCheckpoint: string | undefined,
): Promise<StepResult | undefined> {
  const microBatches = recipe.gradient_accumulation_steps;
  const batches: TrainingBatch[] = [];
  const terms: LossTerms[] = [];
  let position: JsonValue = null;
  await session.startStep();
  while (batches.length < microBatches) {
    const taken = await queue.take();
    if (taken === undefined) return undefined;
    batches.push(taken.batch);
    position = taken.position;
    terms.push(await session.accumulate(taken.batch));
  }
  const squares = await session.gradientSquares();
  const bad = nonFinite(terms, squares);
  if (bad !== undefined) throw await explainNonFinite(session, step, batches, bad, lastCheckpoint);

  const gradientNorm = Math.sqrt(sum([...squares.values()])) / microBatches;
  const limit = recipe.max_grad_norm;
  const clip = limit > 0 ? Math.min(1, limit / (gradientNorm + clipEpsilon)) : 1;
  await session.update({
    scheduleFactor,
    beta1: recipe.adam_beta1,
    beta2: recipe.adam_beta2,
    epsilon: recipe.adam_epsilon,
    step,
    gradientScale: clip / microBatches,
  });
  return { terms: meanTerms(terms), gradientNorm, counts: totalCounts(batches), position };
}

/** Means of each term over the micro-batches that have it. */
export function meanTerms(terms: readonly LossTerms[]): LossTerms {
  const names = new Set(terms.flatMap((each) => Object.keys(each)));
  return Object.fromEntries(
    [...names].map((name) => {
      const values = terms.flatMap((each) => each[name] ?? []);
      return [name, sum(values) / values.length];
    }),
  );
}

function totalCounts(batches: readonly TrainingBatch[]): BatchCounts {
  const total = (key: keyof BatchCounts): number => sum(batches.map(({ counts }) => counts[key]));
  return { samples: total('samples'), tokens: total('tokens'), images: total('images') };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
