import { describe, expect, it } from 'vitest';

import {
  referenceBound,
  referenceExists,
  referenceFloats,
  referenceTensor,
  relativeDifference,
} from './reference-data.js';

describe.skipIf(!referenceExists)('reference data', () => {
  it('reads floats and integers with their shapes', () => {
    const alphas = referenceFloats('goldens/schedulers.safetensors', 'alphas_cumprod');
    expect(alphas.length).toBe(1000);
    expect(alphas[0]).toBe(Math.fround(0.9991499781608582));
    const timesteps = referenceTensor('goldens/schedulers.safetensors', 'add_noise.timesteps');
    expect(timesteps.dtype).toBe('i64');
    expect(timesteps.shape).toEqual([3]);
  });

  it('takes bounds from the manifest', () => {
    expect(referenceBound('schedulers.safetensors', 'ddim.prev_sample')).toBeCloseTo(
      8 * 2.9428559945780297e-6,
      12,
    );
    expect(referenceBound('schedulers.safetensors', 'pndm.prev_sample')).toBe(1e-5);
  });
});

describe('relativeDifference', () => {
  it('is the largest difference over the largest golden', () => {
    expect(relativeDifference([1, 2.5], [1, 2])).toBe(0.25);
    expect(relativeDifference([0, 0], [0, 0])).toBe(0);
    expect(relativeDifference([NaN], [1])).toBe(Infinity);
    expect(relativeDifference([1], [1, 2])).toBe(Infinity);
  });
});
