import { alphasCumprod } from './noise-schedule.js';
import { roundHalfEven } from '../rounding.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';
import { at, StepOrder } from './scheduler.js';

const f = Math.fround;

/** Below this many steps the last one is of first order when `lower_order_final` is set. */
const fewSteps = 15;

/**
 * DPM-Solver++ (Lu et al. 2022), multistep, order 1 or 2, data prediction.
 * Source: diffusers 0.15.1 DPMSolverMultistepScheduler. Its last step goes to timestep 0 of the table and not to
 * a noise level of 0, in which later versions differ; Emu's authors pin 0.15.1.
 */
export class DpmSolverScheduler implements Scheduler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;

  readonly #config: SchedulerConfig;
  readonly #alpha: Float32Array; // sqrt(alpha_bar)
  readonly #sigma: Float32Array; // sqrt(1 - alpha_bar)
  readonly #lambda: Float32Array; // log(alpha) - log(sigma), half the log signal-to-noise ratio
  readonly #stepOrder: StepOrder;
  #lastPrediction: Float32Array | undefined;

  constructor(config: SchedulerConfig, steps: number) {
    const alphaBar = alphasCumprod(config);
    this.#config = config;
    this.#alpha = alphaBar.map((value) => Math.sqrt(value));
    this.#sigma = alphaBar.map((value) => Math.sqrt(f(1 - value)));
    this.#lambda = this.#alpha.map((alpha, i) => f(Math.log(alpha)) - f(Math.log(at(this.#sigma, i))));
    // np.linspace(0, last, steps + 1) rounded half to even, reversed, without its 0.
    const width = (config.num_train_timesteps - 1) / steps;
    const rounded = Array.from({ length: steps }, (_, i) => roundHalfEven((steps - i) * width));
    rounded[0] = config.num_train_timesteps - 1;
    this.timesteps = [...new Set(rounded)];
    this.#stepOrder = new StepOrder(this.timesteps.length);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    this.#stepOrder.take(stepIndex, modelOutput, sample);
    const count = this.timesteps.length;
    const isLast = stepIndex === count - 1;
    const from = at(this.timesteps, stepIndex);
    const to = isLast ? 0 : at(this.timesteps, stepIndex + 1);
    const before = this.#lastPrediction;
    const prediction = this.#predict(modelOutput, from, sample);
    this.#lastPrediction = prediction;
    const isFirstOrder =
      this.#config.solver_order === 1 ||
      !before ||
      (isLast && this.#config.lower_order_final && count < fewSteps);
    if (isFirstOrder) return this.#firstOrder(prediction, from, to, sample);
    return this.#secondOrder(prediction, before, from, to, at(this.timesteps, stepIndex - 1), sample);
  }

  /** The picture the model output stands for. */
  #predict(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    const alpha = at(this.#alpha, timestep);
    const sigma = at(this.#sigma, timestep);
    const isVelocity = this.#config.prediction_type === 'v_prediction';
    return sample.map((x, i) => {
      const noise = f(sigma * (modelOutput[i] as number));
      return isVelocity ? f(alpha * x) - noise : f(x - noise) / alpha;
    });
  }

  #firstOrder(prediction: Float32Array, from: number, to: number, sample: Float32Array): Float32Array {
    const ratio = f(at(this.#sigma, to) / at(this.#sigma, from));
    const weight = this.#decayWeight(from, to);
    return sample.map((x, i) => f(ratio * x) - f(weight * (prediction[i] as number)));
  }

  /** alpha_t (exp(-h) - 1) */
  #decayWeight(from: number, to: number): number {
    const h = f(at(this.#lambda, to) - at(this.#lambda, from));
    return f(at(this.#alpha, to) * f(f(Math.exp(-h)) - 1));
  }

  #secondOrder(
    prediction: Float32Array,
    before: Float32Array,
    from: number,
    to: number,
    earlier: number,
    sample: Float32Array,
  ): Float32Array {
    const h = f(at(this.#lambda, to) - at(this.#lambda, from));
    const h0 = f(at(this.#lambda, from) - at(this.#lambda, earlier));
    const inverseRatio = f(1 / f(h0 / h));
    const ratio = f(at(this.#sigma, to) / at(this.#sigma, from));
    const weight = this.#decayWeight(from, to);
    const slopeWeight =
      this.#config.solver_type === 'midpoint'
        ? -f(0.5 * weight)
        : f(at(this.#alpha, to) * f(f(f(f(Math.exp(-h)) - 1) / h) + 1));
    return sample.map((x, i) => {
      const d0 = prediction[i] as number;
      const d1 = f(inverseRatio * f(d0 - (before[i] as number)));
      return f(f(ratio * x) - f(weight * d0)) + f(slopeWeight * d1);
    });
  }
}
