import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { crossEntropyGradient } from './cross-entropy-gradient.js';
import { logSoftmaxGradient } from './log-softmax-gradient.js';

describe('crossEntropyGradient', () => {
  const gradient = (target: number) =>
    evaluate(
      (t) =>
        crossEntropyGradient(t.input('logits', [1, 4]), t.input('target', [1], 'i32'), t.input('dy', [1])),
      { logits: new Float32Array(4), target: Int32Array.of(target), dy: Float32Array.of(2) },
    );

  it('pulls the target up and pushes all others down, and leaves ignored rows alone', async () => {
    expect([...(await gradient(1))]).toEqual([0.5, -1.5, 0.5, 0.5]);
    expect([...(await gradient(-100))]).toEqual([0, 0, 0, 0]);
  });

  it('refuses targets outside the vocabulary', async () => {
    await expect(gradient(4)).rejects.toThrow('[crossEntropyGradient] target 4 at row 0 is not in 0..3');
  });
});

describe('logSoftmaxGradient', () => {
  it('refuses a gradient of another shape', () => {
    expect(tracing((t) => logSoftmaxGradient(t.input('y', [2, 4]), t.input('dy', [2, 3])))).toThrow(
      '[logSoftmaxGradient] V is 4 in y but 3 in dy',
    );
  });
});
