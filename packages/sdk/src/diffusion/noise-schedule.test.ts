import { createHash } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { addNoise, alphasCumprod, velocity } from './noise-schedule.js';
import { parseSchedulerConfig } from './scheduler-config.js';

const schedules = {
  linear: {},
  scaled: { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 },
  cosine: { beta_schedule: 'squaredcos_cap_v2' },
};

describe('alphasCumprod', () => {
  // SHA-256 of the f32 bytes of torch.cumprod(1 - betas, 0) with diffusers' betas, torch 2.13 on x86.
  it.each([
    ['linear', 1000, 'b5555536933367c4'],
    ['linear', 777, 'f60d7d81addac8be'],
    ['linear', 2, 'ceff1ae6cfed5665'],
    ['scaled', 1000, 'b0c6833c866f3aae'],
    ['scaled', 777, '9484bdd5afe62141'],
    ['cosine', 1000, 'f32ff0b43921c312'],
    ['cosine', 777, 'd46fe90e21513629'],
  ] as const)('%s over %i steps is torch bit for bit', (name, steps, hash) => {
    const alphas = alphasCumprod(parseSchedulerConfig({ ...schedules[name], num_train_timesteps: steps }));
    const digest = createHash('sha256').update(Buffer.from(alphas.buffer)).digest('hex');
    expect(digest.slice(0, 16)).toBe(hash);
  });

  it('takes trained betas as they are', () => {
    const alphas = alphasCumprod(
      parseSchedulerConfig({ num_train_timesteps: 2, trained_betas: [0.5, 0.25] }),
    );
    expect(Array.from(alphas)).toEqual([0.5, 0.375]);
  });
});

describe('addNoise', () => {
  const alphas = Float32Array.of(0.75, 0.25);
  const values = Float32Array.of(1, 2);

  it('scales each row by its own timestep', () => {
    const noisy = addNoise(alphas, values, Float32Array.of(4, 4), [0, 1]);
    expect(noisy[0]).toBeCloseTo(Math.sqrt(0.75) + 4 * Math.sqrt(0.25), 6);
    expect(noisy[1]).toBeCloseTo(2 * Math.sqrt(0.25) + 4 * Math.sqrt(0.75), 6);
  });

  it('refuses timesteps outside the table and lengths that do not fit', () => {
    expect(() => addNoise(alphas, values, values, [0, 2])).toThrow(
      '[addNoise] timestep 2 of row 1 is not an integer in 0..1',
    );
    expect(() => addNoise(alphas, values, values, [0.5])).toThrow('timestep 0.5 of row 0');
    expect(() => addNoise(alphas, values, values, [-1])).toThrow('timestep -1 of row 0');
    expect(() => addNoise(alphas, values, new Float32Array(3), [0])).toThrow(
      '[addNoise] x0 has 2 elements, noise 3, for 1 timesteps',
    );
    expect(() => addNoise(alphas, values, values, [])).toThrow('for 0 timesteps');
  });
});

describe('velocity', () => {
  const alphas = Float32Array.of(0.75, 0.25);
  const x0 = Float32Array.of(1, 2);
  const noise = Float32Array.of(4, -3);

  it('gives latents and noise back together with what they were mixed to', () => {
    const timesteps = [0, 1];
    const noisy = addNoise(alphas, x0, noise, timesteps);
    const told = velocity(alphas, x0, noise, timesteps);
    for (const row of timesteps) {
      const [signalScale, noiseScale] = [Math.sqrt(alphas[row] ?? 0), Math.sqrt(1 - (alphas[row] ?? 0))];
      const [mixed, v] = [noisy[row] ?? 0, told[row] ?? 0];
      expect(signalScale * mixed - noiseScale * v).toBeCloseTo(x0[row] ?? 0, 5);
      expect(noiseScale * mixed + signalScale * v).toBeCloseTo(noise[row] ?? 0, 5);
    }
  });

  it('refuses timesteps outside the table', () => {
    expect(() => velocity(alphas, x0, noise, [0, 2])).toThrow('[velocity] timestep 2 of row 1');
  });
});
