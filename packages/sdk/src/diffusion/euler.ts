import { alphasCumprod } from './noise-schedule.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';
import { at, StepOrder } from './scheduler.js';

const f = Math.fround;

/** np.linspace(0, last, count) reversed, f64. */
function spacedTimesteps(last: number, count: number): number[] {
  if (count === 1) return [0];
  const width = last / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === 0 ? last : (count - 1 - i) * width));
}

/** np.interp at a fractional index of a table. */
function interpolate(table: Float32Array, position: number): number {
  const index = Math.min(Math.floor(position), table.length - 1);
  const low = at(table, index);
  if (index === table.length - 1) return low;
  return (at(table, index + 1) - low) * (position - index) + low;
}

/**
 * Euler's method in the noise level sigma (Karras et al. 2022, algorithm 2 without churn).
 * Samples are scaled by sigma, so the start latents are multiplied by `initNoiseSigma` and the U-Net sees
 * `scaleModelInput`. Source: diffusers 0.15.1 EulerDiscreteScheduler.
 */
export class EulerScheduler implements Scheduler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma: number;
  /** Noise level of each step and a final 0, f32. */
  readonly sigmas: readonly number[];

  readonly #isVelocity: boolean;
  readonly #stepOrder: StepOrder;

  constructor(config: SchedulerConfig, steps: number) {
    const table = alphasCumprod(config).map((alpha) => Math.sqrt(f(f(1 - alpha) / alpha)));
    this.timesteps = spacedTimesteps(config.num_train_timesteps - 1, steps);
    this.sigmas = [...this.timesteps.map((timestep) => f(interpolate(table, timestep))), 0];
    // The largest of the whole table, also when few steps leave it out.
    this.initNoiseSigma = table.reduce((a, b) => Math.max(a, b), 0);
    this.#isVelocity = config.prediction_type === 'v_prediction';
    this.#stepOrder = new StepOrder(this.timesteps.length);
  }

  /** sample / sqrt(sigma^2 + 1) */
  scaleModelInput(sample: Float32Array, stepIndex: number): Float32Array {
    const sigma = at(this.sigmas, stepIndex);
    const scale = f(Math.sqrt(f(f(sigma * sigma) + 1)));
    return sample.map((x) => x / scale);
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    this.#stepOrder.take(stepIndex, modelOutput, sample);
    const sigma = at(this.sigmas, stepIndex);
    const distance = f(at(this.sigmas, stepIndex + 1) - sigma);
    const variance = f(f(sigma * sigma) + 1);
    const outputScale = f(-sigma / f(Math.sqrt(variance)));
    return sample.map((x, i) => {
      const output = modelOutput[i] as number;
      const x0 = this.#isVelocity ? f(f(output * outputScale) + f(x / variance)) : f(x - f(sigma * output));
      const derivative = f(f(x - x0) / sigma);
      return x + f(derivative * distance);
    });
  }
}
