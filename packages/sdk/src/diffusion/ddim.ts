import { alphasCumprod } from './noise-schedule.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';
import { at, checkTimesteps, evenTimesteps, StepOrder } from './scheduler.js';

const f = Math.fround;

/**
 * Denoising diffusion implicit models (Song et al. 2021), deterministic (eta 0).
 * Source: diffusers 0.15.1 DDIMScheduler, including its clipping of the predicted picture to +-clip_sample_range.
 */
export class DdimScheduler implements Scheduler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;

  readonly #alphas: Float32Array;
  readonly #finalAlpha: number;
  readonly #clipRange: number;
  readonly #isVelocity: boolean;
  readonly #ratio: number;
  readonly #stepOrder: StepOrder;

  /** @throws EmuError INVALID_OPTION if the noise table has no entry for a timestep that `steps` needs. */
  constructor(config: SchedulerConfig, steps: number) {
    this.#alphas = alphasCumprod(config);
    this.#finalAlpha = (config.set_alpha_to_one ?? true) ? 1 : at(this.#alphas, 0);
    this.#clipRange = config.clip_sample ? f(config.clip_sample_range) : Infinity;
    this.#isVelocity = config.prediction_type === 'v_prediction';
    this.#ratio = Math.floor(config.num_train_timesteps / steps);
    this.timesteps = evenTimesteps(config.num_train_timesteps, steps, config.steps_offset).reverse();
    checkTimesteps(this.timesteps, config.num_train_timesteps, steps);
    this.#stepOrder = new StepOrder(this.timesteps.length);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    this.#stepOrder.take(stepIndex, modelOutput, sample);
    const timestep = at(this.timesteps, stepIndex);
    const previous = timestep - this.#ratio;
    const alpha = at(this.#alphas, timestep);
    const alphaTo = previous >= 0 ? at(this.#alphas, previous) : this.#finalAlpha;
    const rootAlpha = f(Math.sqrt(alpha));
    const rootBeta = f(Math.sqrt(f(1 - alpha)));
    const rootAlphaTo = f(Math.sqrt(alphaTo));
    const rootBetaTo = f(Math.sqrt(f(1 - alphaTo)));
    const range = this.#clipRange;
    const out = new Float32Array(sample.length);
    for (let i = 0; i < out.length; i++) {
      const x = sample[i] as number;
      const output = modelOutput[i] as number;
      // Predicted picture and noise; equation (12) of the paper with sigma 0.
      const x0 = this.#isVelocity
        ? f(f(rootAlpha * x) - f(rootBeta * output))
        : f(f(x - f(rootBeta * output)) / rootAlpha);
      const noise = this.#isVelocity ? f(f(rootAlpha * output) + f(rootBeta * x)) : output;
      const clipped = x0 < -range ? -range : x0 > range ? range : x0; // NaN stays NaN
      out[i] = f(rootAlphaTo * clipped) + f(rootBetaTo * noise);
    }
    return out;
  }
}
