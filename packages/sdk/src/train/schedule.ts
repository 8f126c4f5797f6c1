import type { SchedulerType } from './recipe/schema.js';

export interface Schedule {
  readonly type: SchedulerType;
  readonly warmupSteps: number;
  readonly maxSteps: number;
  /** Learning rate at the end of cosine and linear, as a fraction of the peak. */
  readonly minimumRatio: number;
}

/**
 * Factor on the peak learning rate in step `step`, counted from 0: a linear rise in which no step is lost at a rate of
 * 0, the peak at step `warmupSteps`, then constant, half a cosine (Loshchilov and Hutter 2017) or a line towards
 * `minimumRatio`, which step `maxSteps` would have.
 */
export function scheduleFactor(schedule: Schedule, step: number): number {
  const { type, warmupSteps, maxSteps, minimumRatio } = schedule;
  if (step < warmupSteps) return (step + 1) / (warmupSteps + 1);
  if (type === 'constant') return 1;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, maxSteps - warmupSteps));
  const height = type === 'cosine' ? (1 + Math.cos(Math.PI * progress)) / 2 : 1 - progress;
  return minimumRatio + (1 - minimumRatio) * height;
}
