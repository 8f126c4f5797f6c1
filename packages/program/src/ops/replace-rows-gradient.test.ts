import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { replaceRowsGradient } from './replace-rows-gradient.js';

const gradientOf = (target: number[]) =>
  evaluate((t) => replaceRowsGradient(t.input('dy', [3, 1]), t.input('target', [2], 'i32')), {
    dy: Float32Array.of(1, 2, 3),
    target: Int32Array.from(target),
  });

describe('replaceRowsGradient', () => {
  it('gives zeros to rows that were left out or replaced again', async () => {
    expect([...(await gradientOf([-1, 2]))]).toEqual([0, 3]);
    expect([...(await gradientOf([1, 1]))]).toEqual([0, 2]);
  });

  it('refuses targets that are not there, and a list that is a table', async () => {
    await expect(gradientOf([0, 3])).rejects.toThrow(
      '[replaceRowsGradient] target 3 at row 1 is not in -1..2',
    );
    expect(
      tracing((t) => replaceRowsGradient(t.input('dy', [3, 1]), t.input('target', [2, 1], 'i32'))),
    ).toThrow('[replaceRowsGradient] target has 2 axes, needs [N]');
  });
});
