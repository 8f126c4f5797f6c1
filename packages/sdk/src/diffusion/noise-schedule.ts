import { EmuError } from '@emu/program';

import type { SchedulerConfig } from './scheduler-config.js';

const f = Math.fround;

/** torch.linspace in f32: counted from the start in the first half, from the end in the second. */
export function linspaceF32(start: number, end: number, count: number): Float32Array {
  const out = new Float32Array(count);
  if (count === 1) {
    out[0] = start;
    return out;
  }
  const first = f(start);
  const last = f(end);
  const step = f(f(last - first) / (count - 1));
  const half = Math.floor(count / 2);
  for (let i = 0; i < count; i++) {
    out[i] = i < half ? first + step * i : last - step * (count - 1 - i);
  }
  return out;
}

/** Betas of the cosine schedule of Nichol and Dhariwal 2021, each at most 0.999. */
function cosineBetas(count: number): Float32Array {
  const alphaBar = (time: number): number => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
  );
}

function betas(config: SchedulerConfig): Float32Array {
  const { beta_start: start, beta_end: end, num_train_timesteps: count } = config;
  if (config.trained_betas) return Float32Array.from(config.trained_betas);
  switch (config.beta_schedule) {
    case 'linear':
      return linspaceF32(start, end, count);
    case 'scaled_linear':
      return linspaceF32(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
    case 'squaredcos_cap_v2':
      return cosineBetas(count);
  }
}

/**
 * The products of (1 - beta) up to each training timestep, [num_train_timesteps] f32, decreasing.
 * As torch computes them: betas and alphas in f32, the running product in f64, stored as f32.
 */
export function alphasCumprod(config: SchedulerConfig): Float32Array {
  let product = 1;
  return betas(config).map((beta) => {
    product *= f(1 - beta);
    return product;
  });
}

/**
 * The forward process: sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise, per row (Ho et al. 2020, eq. 4).
 * x0 and noise [rows, ...] f32 of equal length, one timestep per row -> [rows, ...] f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH for unequal lengths, INVALID_OPTION for a timestep outside the table.
 */
export function addNoise(
  alphas: Float32Array,
  x0: Float32Array,
  noise: Float32Array,
  timesteps: readonly number[],
): Float32Array {
  return perRow('addNoise', alphas, x0, noise, timesteps, (signalScale, noiseScale, signal, noise) =>
    f(f(signalScale * signal) + f(noiseScale * noise)),
  );
}

/**
 * What a U-Net of prediction type `v_prediction` is to tell of x0 with noise added: sqrt(alpha_bar_t) noise -
 * sqrt(1 - alpha_bar_t) x0, per row (Salimans & Ho 2022, appendix D). Shapes and errors as those of `addNoise`.
 */
export function velocity(
  alphas: Float32Array,
  x0: Float32Array,
  noise: Float32Array,
  timesteps: readonly number[],
): Float32Array {
  return perRow('velocity', alphas, x0, noise, timesteps, (signalScale, noiseScale, signal, noise) =>
    f(f(signalScale * noise) - f(noiseScale * signal)),
  );
}

/** One number made of each element of x0 and of the noise, with the scales that the row's timestep gives to the two. */
function perRow(
  name: string,
  alphas: Float32Array,
  x0: Float32Array,
  noise: Float32Array,
  timesteps: readonly number[],
  combine: (signalScale: number, noiseScale: number, signal: number, noise: number) => number,
): Float32Array {
  if (x0.length !== noise.length || timesteps.length === 0 || x0.length % timesteps.length !== 0) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[${name}] x0 has ${x0.length} elements, noise ${noise.length}, for ${timesteps.length} timesteps`,
      { details: { x0: x0.length, noise: noise.length, timesteps: timesteps.length } },
    );
  }
  const rowLength = x0.length / timesteps.length;
  const out = new Float32Array(x0.length);
  timesteps.forEach((timestep, row) => {
    const alpha = alphas[timestep];
    if (alpha === undefined) {
      throw new EmuError(
        'INVALID_OPTION',
        `[${name}] timestep ${timestep} of row ${row} is not an integer in 0..${alphas.length - 1}`,
        { details: { timestep, row } },
      );
    }
    const signalScale = f(Math.sqrt(alpha));
    const noiseScale = f(Math.sqrt(f(1 - alpha)));
    for (let i = row * rowLength; i < (row + 1) * rowLength; i++) {
      out[i] = combine(signalScale, noiseScale, x0[i] as number, noise[i] as number);
    }
  });
  return out;
}
