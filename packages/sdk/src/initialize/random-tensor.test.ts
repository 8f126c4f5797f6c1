import { Philox } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { randomPieces } from './random-tensor.js';

function values(...args: Parameters<typeof randomPieces>): Float32Array {
  return Float32Array.from([...randomPieces(...args)].flatMap((piece) => [...piece]));
}

describe('values of a fresh tensor', () => {
  it('are draws of the stream, whatever the pieces', () => {
    const drawn = values([3, 30_000], { kind: 'normal', deviation: 0.5 }, 9, 4);
    const generator = new Philox(9, 4);
    expect(drawn.length).toBe(90_000);
    const differs = drawn.findIndex((value) => value !== Math.fround(0.5 * generator.nextNormal()));
    expect(differs).toBe(-1);
  });

  it('differ between streams and between seeds', () => {
    const of = (seed: number, stream: number) => values([8], { kind: 'uniform', bound: 1 }, seed, stream);
    expect(of(1, 0)).toEqual(of(1, 0));
    expect(of(1, 0)).not.toEqual(of(1, 1));
    expect(of(1, 0)).not.toEqual(of(2, 0));
  });

  it('stay within their bounds', () => {
    const largest = (drawn: Float32Array) =>
      drawn.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const uniform = largest(values([50_000], { kind: 'uniform', bound: 0.25 }, 1, 0));
    expect(uniform).toBeLessThanOrEqual(0.25);
    expect(uniform).toBeGreaterThan(0.2499);
    const truncated = largest(values([50_000], { kind: 'truncated-normal', deviation: 0.5 }, 1, 0));
    expect(truncated).toBeLessThanOrEqual(1);
    expect(truncated).toBeGreaterThan(0.99);
    expect(values([2], { kind: 'constant', value: 1 }, 1, 0)).toEqual(Float32Array.of(1, 1));
  });

  it('are waves over a grid, so that places near each other are alike', () => {
    const [side, width] = [8, 16];
    const waves = { kind: 'grid-waves', side, width, amplitude: 0.5 } as const;
    const drawn = values([1, 1 + side * side, width], waves, 1, 0);
    const row = (place: number) => drawn.subarray((1 + place) * width, (2 + place) * width);
    const likeness = (a: number, b: number) =>
      row(a).reduce((sum, value, index) => sum + value * (row(b)[index] ?? 0), 0);
    expect(drawn.subarray(0, width)).toEqual(new Float32Array(width));
    // Sines and cosines in pairs: each row has the same length.
    for (const place of [0, 9, 63]) expect(likeness(place, place)).toBeCloseTo((0.25 * width) / 2, 5);
    expect(likeness(9, 10)).toBeCloseTo(likeness(9, 17), 5);
    expect(likeness(9, 10)).toBeGreaterThan(likeness(9, 11));
    expect(likeness(9, 11)).toBeGreaterThan(likeness(9, 63));
  });

  it('of an empty tensor are none', () => {
    expect([...randomPieces([0, 4], { kind: 'normal', deviation: 1 }, 1, 0)]).toEqual([]);
  });
});
