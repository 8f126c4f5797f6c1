import { EmuError } from '@emu/program';

import { alphasCumprod } from './noise-schedule.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';
import { at, checkTimesteps, evenTimesteps, StepOrder } from './scheduler.js';

const f = Math.fround;
const order = 4;

/** Timesteps of the Runge-Kutta warm-up: four calls for each of the first three steps. */
function rungeKuttaTimesteps(spaced: readonly number[], half: number): number[] {
  const pairs = spaced.slice(-order).flatMap((timestep) => [timestep, timestep + half]);
  const doubled = pairs.slice(0, -1).flatMap((timestep) => [timestep, timestep]);
  return doubled.slice(1, -1).reverse();
}

/** Timesteps without warm-up: the second one is asked for twice, so that step can be redone with more history. */
function multistepTimesteps(spaced: readonly number[]): number[] {
  return [...spaced.slice(0, -1), ...spaced.slice(-2, -1), ...spaced.slice(-1)].reverse();
}

/** The weighted sum of arrays, in f32 and in the order given: each product is rounded, then each sum. */
function weightedSum(terms: readonly (readonly [number, Float32Array])[]): Float32Array {
  const [head, ...rest] = terms;
  if (!head) throw new EmuError('INTERNAL', '[pndm] a sum of no terms');
  const out = head[1].map((value) => head[0] * value);
  for (const [weight, array] of rest) {
    for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) + f(weight * (array[i] as number));
  }
  return out;
}

/**
 * Pseudo numerical methods for diffusion models (Liu et al. 2022), the scheduler of Stable Diffusion 1.x: linear
 * multistep of order 4, started either by repeating one step (`skip_prk_steps`, N+1 calls) or by a Runge-Kutta
 * warm-up. Source: diffusers 0.15.1 PNDMScheduler, whose trajectories pndm.test.ts holds it to.
 */
export class PndmScheduler implements Scheduler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;

  readonly #alphas: Float32Array;
  readonly #finalAlpha: number;
  readonly #isVelocity: boolean;
  readonly #ratio: number;
  readonly #warmUp: readonly number[];
  readonly #stepOrder: StepOrder;
  #history: Float32Array[] = []; // model outputs, newest last, at most four
  #startSample: Float32Array | undefined; // where the current warm-up step or the redone step began
  #warmUpSum: Float32Array | undefined;

  /** @throws EmuError INVALID_OPTION if the noise table has no entry for a timestep that `steps` needs. */
  constructor(config: SchedulerConfig, steps: number) {
    this.#alphas = alphasCumprod(config);
    this.#finalAlpha = config.set_alpha_to_one ? 1 : at(this.#alphas, 0);
    this.#isVelocity = config.prediction_type === 'v_prediction';
    this.#ratio = Math.floor(config.num_train_timesteps / steps);
    const spaced = evenTimesteps(config.num_train_timesteps, steps, config.steps_offset);
    if (config.skip_prk_steps) {
      this.#warmUp = [];
      this.timesteps = multistepTimesteps(spaced);
    } else {
      if (steps < order) {
        throw new EmuError(
          'INVALID_OPTION',
          `[scheduler] steps ${steps} is below ${order}, which PNDM with its Runge-Kutta warm-up needs`,
          { hint: `Ask for at least ${order} steps.`, details: { steps, minimum: order } },
        );
      }
      this.#warmUp = rungeKuttaTimesteps(spaced, Math.floor(this.#ratio / 2));
      this.timesteps = [...this.#warmUp, ...spaced.slice(0, -3).reverse()];
    }
    checkTimesteps(this.timesteps, config.num_train_timesteps, steps);
    this.#stepOrder = new StepOrder(this.timesteps.length);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    this.#stepOrder.take(stepIndex, modelOutput, sample);
    return stepIndex < this.#warmUp.length
      ? this.#warmUpStep(modelOutput, stepIndex, sample)
      : this.#multistep(modelOutput, stepIndex, sample);
  }

  /** One of the four evaluations of a classical Runge-Kutta step, weights 1/6, 1/3, 1/3, 1/6. */
  #warmUpStep(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    const half = stepIndex % 2 === 1 ? 0 : Math.floor(this.#ratio / 2);
    const previous = at(this.timesteps, stepIndex) - half;
    const timestep = at(this.#warmUp, stepIndex - (stepIndex % 4));
    let direction = modelOutput;
    if (stepIndex % 4 === 0) {
      this.#warmUpSum = weightedSum([[f(1 / 6), modelOutput]]);
      this.#history.push(modelOutput.slice());
      this.#startSample = sample.slice();
    } else if (this.#warmUpSum) {
      const weight = stepIndex % 4 === 3 ? f(1 / 6) : f(1 / 3);
      this.#warmUpSum = weightedSum([
        [1, this.#warmUpSum],
        [weight, modelOutput],
      ]);
      if (stepIndex % 4 === 3) direction = this.#warmUpSum;
    }
    return this.#move(this.#startSample ?? sample, timestep, previous, direction);
  }

  #multistep(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    const timestep = at(this.timesteps, stepIndex);
    if (stepIndex === 1 && this.#startSample && this.#warmUp.length === 0) {
      // The first step again, from its start, with the mean of its two slopes (Heun's method).
      const start = this.#startSample;
      const mean = weightedSum([
        [1, modelOutput],
        [1, this.#outputBack(1)],
      ]).map((value) => value / 2);
      return this.#move(start, timestep + this.#ratio, timestep, mean);
    }
    this.#history = [...this.#history.slice(-(order - 1)), modelOutput.slice()];
    if (stepIndex === 0) this.#startSample = sample.slice();
    return this.#move(sample, timestep, timestep - this.#ratio, this.#adamsBashforth());
  }

  /** The extrapolated slope: Adams-Bashforth of the order the history allows. */
  #adamsBashforth(): Float32Array {
    const back = (age: number): Float32Array => this.#outputBack(age);
    switch (this.#history.length) {
      case 1:
        return back(1);
      case 2:
        return weightedSum([[3, back(1)], [-1, back(2)]]).map((value) => value / 2); // prettier-ignore
      case 3:
        return weightedSum([[23, back(1)], [-16, back(2)], [5, back(3)]]).map((value) => value / 12); // prettier-ignore
      default: {
        const scale = f(1 / 24);
        const sum = weightedSum([[55, back(1)], [-59, back(2)], [37, back(3)], [-9, back(4)]]); // prettier-ignore
        return sum.map((value) => scale * value);
      }
    }
  }

  #outputBack(age: number): Float32Array {
    const output = this.#history[this.#history.length - age];
    if (!output) throw new EmuError('INTERNAL', `[pndm] no model output ${age} steps back`);
    return output;
  }

  /** The transfer from one timestep to another along the slope; equation (9) of the paper. */
  #move(sample: Float32Array, from: number, to: number, output: Float32Array): Float32Array {
    const alpha = at(this.#alphas, from);
    const alphaTo = to >= 0 ? at(this.#alphas, to) : this.#finalAlpha;
    const beta = f(1 - alpha);
    const betaTo = f(1 - alphaTo);
    const sampleScale = f(Math.sqrt(f(alphaTo / alpha)));
    const difference = f(alphaTo - alpha);
    const denominator = f(f(alpha * f(Math.sqrt(betaTo))) + f(Math.sqrt(f(f(alpha * beta) * alphaTo))));
    const rootAlpha = f(Math.sqrt(alpha));
    const rootBeta = f(Math.sqrt(beta));
    const out = new Float32Array(sample.length);
    for (let i = 0; i < out.length; i++) {
      const x = sample[i] as number;
      let noise = output[i] as number;
      if (this.#isVelocity) noise = f(f(rootAlpha * noise) + f(rootBeta * x));
      out[i] = f(sampleScale * x) - f(f(difference * noise) / denominator);
    }
    return out;
  }
}
