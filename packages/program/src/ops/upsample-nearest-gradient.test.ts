import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { upsampleNearestGradient } from './upsample-nearest-gradient.js';

describe('upsampleNearestGradient', () => {
  it('refuses a small picture without pixels', () => {
    expect(
      tracing((t) => upsampleNearestGradient(t.input('dy', [1, 4, 4, 2]), { height: 0, width: 2 })),
    ).toThrow('[upsampleNearestGradient] a picture 0x2 has no pixels that fill 4x4: got f32[1,4,4,2]');
  });
});
