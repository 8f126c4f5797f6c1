import { EmuError } from '@emu/program';
import { describe, expect, it } from 'vitest';

import {
  referenceBound,
  referenceExists,
  referenceFloats,
  referenceJson,
  referenceTensor,
  relativeDifference,
} from '../testing/reference-data.js';
import type { SchedulerName } from './create-scheduler.js';
import { createScheduler } from './create-scheduler.js';
import { EulerScheduler } from './euler.js';
import { addNoise, alphasCumprod } from './noise-schedule.js';
import { parseSchedulerConfig } from './scheduler-config.js';

const file = 'goldens/schedulers.safetensors';

interface Trajectory {
  readonly scheduler: string;
  readonly steps: number;
  readonly timesteps: readonly number[];
  readonly init_noise_sigma: number;
  readonly config: Readonly<Record<string, unknown>>;
  readonly sigmas?: readonly number[];
}

interface Schedulers {
  readonly trajectories: Readonly<Record<string, Trajectory>>;
  readonly timestep_tables: Readonly<Record<SchedulerName, Readonly<Record<string, readonly number[]>>>>;
}

const stableDiffusion = {
  _class_name: 'PNDMScheduler',
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  num_train_timesteps: 1000,
  prediction_type: 'epsilon',
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
};

describe.skipIf(!referenceExists)("the authors' noise schedule", () => {
  it('has the same products of alphas, bit for bit', () => {
    const alphas = alphasCumprod(parseSchedulerConfig(stableDiffusion));
    expect(alphas).toEqual(referenceFloats(file, 'alphas_cumprod'));
  });

  it('adds noise to three rows at three timesteps', () => {
    const alphas = alphasCumprod(parseSchedulerConfig(stableDiffusion));
    const timesteps = Array.from(referenceTensor(file, 'add_noise.timesteps').data, Number);
    const noisy = addNoise(
      alphas,
      referenceFloats(file, 'add_noise.x0'),
      referenceFloats(file, 'add_noise.noise'),
      timesteps,
    );
    // Not bit for bit: torch takes some square roots from a vector library that is one unit off.
    expect(relativeDifference(noisy, referenceFloats(file, 'add_noise.out'))).toBeLessThan(2e-7);
  });
});

describe.skipIf(!referenceExists)("the authors' trajectories", () => {
  const schedulers = referenceExists
    ? referenceJson<Schedulers>('goldens/schedulers.json')
    : { trajectories: {}, timestep_tables: {} as Schedulers['timestep_tables'] };

  for (const [name, trajectory] of Object.entries(schedulers.trajectories)) {
    it(`${name}: ${trajectory.timesteps.length} calls for ${trajectory.steps} steps`, () => {
      const config = { ...trajectory.config, _class_name: trajectory.scheduler };
      const scheduler = createScheduler(config, trajectory.steps);
      expect(scheduler.timesteps).toEqual(trajectory.timesteps);
      expect(scheduler.initNoiseSigma).toBe(trajectory.init_noise_sigma);
      if (trajectory.sigmas) {
        if (!(scheduler instanceof EulerScheduler)) throw new Error(`${name} is not Euler`);
        const { sigmas } = scheduler;
        expect(relativeDifference(sigmas, trajectory.sigmas)).toBeLessThan(2e-7);
      }

      const inputs = referenceFloats(file, `${name}.model_input`);
      const outputs = referenceFloats(file, `${name}.model_output`);
      const samples = referenceFloats(file, `${name}.prev_sample`);
      const noise = referenceFloats(file, 'noise');
      const bound = referenceBound('schedulers.safetensors', `${name}.prev_sample`);
      let sample: Float32Array = noise.map((value) => value * scheduler.initNoiseSigma);
      scheduler.timesteps.forEach((_, step) => {
        const row = (array: Float32Array): Float32Array =>
          array.slice(step * noise.length, (step + 1) * noise.length);
        expect(relativeDifference(scheduler.scaleModelInput(sample, step), row(inputs))).toBeLessThan(bound);
        sample = scheduler.step(row(outputs), step, sample);
        expect(relativeDifference(sample, row(samples))).toBeLessThan(bound);
      });
    });
  }

  for (const [name, tables] of Object.entries(schedulers.timestep_tables)) {
    it(`${name} has the same timesteps for every number of steps`, () => {
      expect(Object.keys(tables).length).toBeGreaterThan(5);
      for (const [steps, timesteps] of Object.entries(tables)) {
        const scheduler = createScheduler(stableDiffusion, Number(steps), {
          scheduler: name as SchedulerName,
        });
        expect(scheduler.timesteps, `${name} ${steps}`).toEqual(timesteps);
      }
    });
  }
});

describe('createScheduler', () => {
  function codeOf(run: () => unknown): string {
    try {
      run();
    } catch (error) {
      if (EmuError.isInstance(error)) return `${error.code} ${error.message}`;
    }
    return 'no EmuError';
  }

  it('refuses steps that are no count within the noise table', () => {
    for (const steps of [0, -1, 1001, 2.5, NaN, Infinity]) {
      expect(codeOf(() => createScheduler(stableDiffusion, steps))).toBe(
        `INVALID_OPTION [scheduler] steps must be an integer in 1..1000, got ${steps}`,
      );
    }
  });

  it('refuses steps whose offset leaves the table', () => {
    expect(codeOf(() => createScheduler(stableDiffusion, 1000))).toBe(
      'INVALID_OPTION [scheduler] steps 1000 needs timestep 1000, the noise table ends at 999',
    );
  });

  it('refuses the Runge-Kutta warm-up with fewer than four steps', () => {
    expect(codeOf(() => createScheduler({ ...stableDiffusion, skip_prk_steps: false }, 3))).toBe(
      'INVALID_OPTION [scheduler] steps 3 is below 4, which PNDM with its Runge-Kutta warm-up needs',
    );
  });

  it('refuses unknown classes, names and predictions, naming them', () => {
    expect(codeOf(() => createScheduler({ _class_name: 'LMSDiscreteScheduler' }, 5))).toContain(
      'INVALID_CONFIG [scheduler config] _class_name "LMSDiscreteScheduler" is none of PNDMScheduler, DDIM',
    );
    expect(codeOf(() => createScheduler(stableDiffusion, 5, { scheduler: 'lms' as SchedulerName }))).toBe(
      'INVALID_OPTION [scheduler] scheduler "lms" is none of pndm, ddim, dpmsolver++, euler',
    );
    expect(codeOf(() => createScheduler({ ...stableDiffusion, prediction_type: 'sample' }, 5))).toContain(
      'INVALID_CONFIG [scheduler config] prediction_type',
    );
    expect(codeOf(() => createScheduler({ ...stableDiffusion, thresholding: true }, 5))).toContain(
      'INVALID_CONFIG [scheduler config] thresholding',
    );
  });

  it('refuses hostile configs', () => {
    expect(codeOf(() => createScheduler(null, 5))).toContain(
      'INVALID_CONFIG [scheduler config] (whole file)',
    );
    expect(codeOf(() => createScheduler({ num_train_timesteps: 1e12 }, 5))).toContain(
      'num_train_timesteps: Too big: expected number to be <=100000, got 1000000000000',
    );
    expect(codeOf(() => createScheduler({ beta_end: 1 }, 5))).toContain('INVALID_CONFIG');
    expect(codeOf(() => createScheduler({ trained_betas: [0.1] }, 5))).toBe(
      'INVALID_CONFIG [scheduler config] trained_betas has 1 values, num_train_timesteps is 1000',
    );
  });

  it('refuses a step out of turn and arrays of other lengths', () => {
    const scheduler = createScheduler(stableDiffusion, 2);
    const four = new Float32Array(4);
    expect(codeOf(() => scheduler.step(four, 1, four))).toBe(
      'INVALID_OPTION [scheduler] step 1 came when step 0 of 3 was due',
    );
    scheduler.step(four, 0, four);
    expect(codeOf(() => scheduler.step(new Float32Array(3), 1, four))).toBe(
      'TENSOR_SHAPE_MISMATCH [scheduler] step 1 has a sample of 4 and a model output of 3 elements; the run began with 4',
    );
    scheduler.step(four, 1, four);
    scheduler.step(four, 2, four);
    expect(codeOf(() => scheduler.step(four, 3, four))).toBe(
      'INVALID_OPTION [scheduler] step 3 came when no further step of 3 was due',
    );
  });
});

describe('every scheduler', () => {
  // With the true noise as the model's answer, the picture must come back: a check that shares no formula with
  // the implementation. DDIM and Euler are exact for it; the others up to their order.
  const x0 = Float32Array.from([0.5, -0.25, 0.9, 0]);
  const noise = Float32Array.from([1.2, -0.7, 0.1, -1.9]);

  for (const scheduler of ['pndm', 'ddim', 'dpmsolver++', 'euler'] as const) {
    for (const prediction of ['epsilon', 'v_prediction'] as const) {
      it(`${scheduler} recovers the picture from a perfect ${prediction}`, () => {
        const config = { ...stableDiffusion, prediction_type: prediction, clip_sample: false };
        const alphas = alphasCumprod(parseSchedulerConfig(config));
        const run = createScheduler(config, 50, { scheduler });
        const start = Math.round(run.timesteps[0] ?? 0);
        let sample: Float32Array =
          scheduler === 'euler'
            ? x0.map((value, i) => value + run.initNoiseSigma * (noise[i] ?? 0))
            : addNoise(alphas, x0, noise, [start]);
        run.timesteps.forEach((timestep, step) => {
          const alpha = alphas[Math.round(timestep)] ?? 0;
          const scaled = run.scaleModelInput(sample, step);
          const output = scaled.map((x, i) => {
            const target = x0[i] ?? 0;
            const eps = (x - Math.sqrt(alpha) * target) / Math.sqrt(1 - alpha);
            return prediction === 'epsilon' ? eps : Math.sqrt(alpha) * eps - Math.sqrt(1 - alpha) * target;
          });
          sample = run.step(output, step, sample);
        });
        for (let i = 0; i < x0.length; i++)
          expect(Math.abs((sample[i] ?? 0) - (x0[i] ?? 0))).toBeLessThan(0.1);
      });
    }
  }
});
