import { Philox } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { startLatents, unitNormal } from './noise.js';

describe('unitNormal', () => {
  it('is the sequence of the generator, so a seed is a promise', () => {
    const random = new Philox(7);
    const noise = unitNormal([2, 3], 7);
    expect(noise.shape).toEqual([2, 3]);
    expect(Array.from(noise.data)).toEqual(Array.from({ length: 6 }, () => Math.fround(random.nextNormal())));
  });

  it('starts the same whatever the shape', () => {
    expect(unitNormal([4], 1).data).toEqual(unitNormal([2, 100], 1).data.slice(0, 4));
  });

  it('differs between seeds and streams', () => {
    const first = unitNormal([8], 1).data;
    expect(unitNormal([8], 2).data).not.toEqual(first);
    expect(unitNormal([8], 1, 1).data).not.toEqual(first);
  });

  it('refuses impossible shapes', () => {
    expect(() => unitNormal([1, 2.5], 1)).toThrow('[noise] shape [1,2.5] must have whole sides');
    expect(() => unitNormal([1e5, 1e5], 1)).toThrow('at most 268435456 elements');
    expect(() => unitNormal([-1], 1)).toThrow('[noise] shape [-1]');
  });
});

describe('startLatents', () => {
  it('has the size of the latent and the scale of the scheduler', () => {
    const latents = startLatents({ width: 64, height: 48, seed: 5, initNoiseSigma: 2 });
    expect(latents.shape).toEqual([1, 4, 6, 8]);
    expect(latents.data[3]).toBe(2 * (unitNormal([4], 5).data[3] ?? 0));
  });

  it('refuses sides the VAE cannot make', () => {
    expect(() => startLatents({ width: 60, height: 64, seed: 1 })).toThrow(
      '[noise] width must be a positive multiple of 8, got 60',
    );
    expect(() => startLatents({ width: 64, height: 0, seed: 1 })).toThrow(
      'height must be a positive multiple',
    );
  });
});
