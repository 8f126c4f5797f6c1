import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { crossEntropy } from './cross-entropy.js';

describe('crossEntropy', () => {
  it('refuses targets outside the vocabulary other than -100', async () => {
    const lose = (target: number) =>
      evaluate((t) => crossEntropy(t.input('logits', [1, 4]), t.input('target', [1], 'i32')), {
        logits: new Float32Array(4),
        target: Int32Array.of(target),
      });
    await expect(lose(4)).rejects.toThrow('[crossEntropy] target 4 at row 0 is not in 0..3');
    await expect(lose(-1)).rejects.toThrow('[crossEntropy] target -1 at row 0 is not in 0..3');
    expect([...(await lose(-100))]).toEqual([0]);
  });

  it('refuses another number of targets', () => {
    expect(tracing((t) => crossEntropy(t.input('l', [2, 4]), t.input('target', [3], 'i32')))).toThrow(
      '[crossEntropy] R is 2 in logits but 3 in target',
    );
  });
});
