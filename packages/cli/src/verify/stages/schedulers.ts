import { addNoise, alphasCumprod, createScheduler, parseSchedulerConfig } from '@emu/sdk/diffusion';

import { numbers, record, text, type JsonRecord } from '../goldens.js';
import type { Stage, StageContext } from '../stage.js';

const file = 'schedulers.safetensors';

/** PNDM, DDIM, DPM-Solver++ and Euler, each on the U-Net outputs that the reference recorded. */
export const schedulersStage: Stage = {
  name: 'schedulers',
  async run(context) {
    const { goldens, recorder } = context;
    const document = await goldens.json('schedulers.json');
    const trajectories = record(document?.['trajectories'] ?? {});
    for (const [name, trajectory] of Object.entries(trajectories)) {
      await runTrajectory(context, name, record(trajectory));
    }
    for (const [name, table] of Object.entries(record(document?.['timestep_tables'] ?? {}))) {
      const config = configOf(record(trajectories[name]));
      for (const [steps, timesteps] of Object.entries(record(table))) {
        const ours = createScheduler(config, Number(steps)).timesteps;
        recorder.value('schedulers.json', `timesteps.${name}.${steps}`, ours, numbers(timesteps));
      }
    }
    await noiseCases(context, configOf(record(Object.values(trajectories)[0])));
  },
};

function configOf(trajectory: JsonRecord): JsonRecord {
  return { ...record(trajectory['config']), _class_name: text(trajectory['scheduler']) };
}

async function runTrajectory(
  { goldens, recorder }: StageContext,
  name: string,
  trajectory: JsonRecord,
): Promise<void> {
  const scheduler = createScheduler(configOf(trajectory), Number(trajectory['steps']));
  const noise = await goldens.input(file, 'noise');
  const outputs = await goldens.input(file, `${name}.model_output`);
  const [steps = 0, ...shape] = outputs.shape;
  const size = noise.data.length;
  const inputs = new Float32Array(steps * size);
  const samples = new Float32Array(steps * size);
  let sample: Float32Array = (noise.data as Float32Array).map((value) => value * scheduler.initNoiseSigma);
  for (let step = 0; step < steps; step++) {
    inputs.set(scheduler.scaleModelInput(sample, step), step * size);
    sample = scheduler.step(
      (outputs.data as Float32Array).subarray(step * size, (step + 1) * size),
      step,
      sample,
    );
    samples.set(sample, step * size);
  }
  await recorder.floats(file, `${name}.model_input`, [steps, ...shape], inputs);
  await recorder.floats(file, `${name}.prev_sample`, [steps, ...shape], samples);
}

async function noiseCases({ goldens, recorder }: StageContext, config: JsonRecord): Promise<void> {
  const parsed = parseSchedulerConfig(config);
  const cumulative = alphasCumprod(parsed);
  await recorder.floats(file, 'alphas_cumprod', [cumulative.length], cumulative);
  const x0 = await goldens.input(file, 'add_noise.x0');
  const noise = await goldens.input(file, 'add_noise.noise');
  const timesteps = Array.from((await goldens.input(file, 'add_noise.timesteps')).data, Number);
  const noisy = addNoise(cumulative, x0.data as Float32Array, noise.data as Float32Array, timesteps);
  await recorder.floats(file, 'add_noise.out', x0.shape, noisy);
}
