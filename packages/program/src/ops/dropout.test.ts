import { describe, expect, it } from 'vitest';
import { evaluate, tracing } from '../testing/evaluate.js';
import { dropout } from './dropout.js';

const count = 20_000;

function drop(rate: number, stream: number, key: readonly [number, number]): Promise<Float32Array> {
  return evaluate((t) => dropout(t.input('x', [count]), t.input('key', [2], 'i32'), { rate, stream }), {
    x: new Float32Array(count).fill(1),
    key: Int32Array.from(key),
  }) as Promise<Float32Array>;
}

describe('dropout', () => {
  it('keeps the mean, and chooses anew with another key and another stream', async () => {
    const y = await drop(0.25, 0, [1, 2]);
    expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    expect(y.reduce((sum, value) => sum + value, 0) / count).toBeCloseTo(1, 1);
    const same = (other: Float32Array): number => other.filter((value, i) => value === y[i]).length / count;
    expect(same(await drop(0.25, 0, [1, 2]))).toBe(1);
    // Two independent choices agree in 0.75² + 0.25² of the elements.
    expect(same(await drop(0.25, 1, [1, 2]))).toBeCloseTo(0.625, 1);
    expect(same(await drop(0.25, 0, [2, 2]))).toBeCloseTo(0.625, 1);
    expect(same(await drop(0.25, 0, [1, 3]))).toBeCloseTo(0.625, 1);
  });

  it('refuses a rate of 1, a stream of 33 bits and a key of three words', () => {
    const by = (options: { rate: number; stream: number }, words = 2) =>
      tracing((t) => dropout(t.input('x', [2]), t.input('key', [words], 'i32'), options));
    expect(by({ rate: 1, stream: 0 })).toThrow('[dropout] rate 1 is not a number in 0..1, 1 excluded');
    expect(by({ rate: 0.1, stream: 2 ** 32 })).toThrow(
      '[dropout] stream 4294967296 is not an integer below 2^32',
    );
    expect(by({ rate: 0.1, stream: 0 }, 3)).toThrow('[dropout] key has 3 words, needs 2');
  });
});
