import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { decodeImage } from './decode-node.js';
import { rgbPixels } from './pixels.js';
import type { ResizeFilter } from './resize.js';
import { resize, resizeInSlices } from './resize.js';

const folder = join(import.meta.dirname, '../../../../testdata/image');

interface Expected {
  readonly resized: readonly {
    readonly filter: ResizeFilter;
    readonly width: number;
    readonly height: number;
    readonly rgb: string;
  }[];
}
const { resized } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
const source = await decodeImage(readFileSync(join(folder, 'rgb.png')));

describe('resize', () => {
  it.each(resized)('$filter to $width x $height equals Pillow', ({ filter, width, height, rgb }) => {
    const pixels = resize(source, width, height, filter);
    expect([pixels.width, pixels.height]).toEqual([width, height]);
    expect(Buffer.from(pixels.data).equals(Buffer.from(rgb, 'base64'))).toBe(true);
  });

  it('gives a copy when the size stays', () => {
    const same = resize(source, source.width, source.height);
    expect(same.data).toEqual(Uint8Array.from(source.data));
    expect(same.data.buffer).not.toBe(source.data.buffer);
  });

  it('keeps the range at hard edges, where the cubic overshoots', () => {
    const edge = rgbPixels(4, 1, Uint8Array.of(0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255));
    const levels = Array.from(resize(edge, 16, 1).data);
    expect(Math.min(...levels)).toBe(0);
    expect(Math.max(...levels)).toBe(255);
  });

  it('refuses sizes and filters it has not, naming them', () => {
    expect(() => resize(source, 0, 5)).toThrow('[resize] width must be an integer in 1..65535, got 0');
    expect(() => resize(source, 5, 1.5)).toThrow('[resize] height must be an integer in 1..65535, got 1.5');
    expect(() => resize(source, 5, NaN)).toThrow('got NaN');
    expect(() => resize(source, 5, 5, 'lanczos' as ResizeFilter)).toThrow('filter "lanczos" is none of');
    expect(() => resize(source, 65_535, 65_535)).toThrow('needs 12884508675 bytes, at most 1073741824');
    expect(() => resize({ ...source, width: 20 }, 5, 5)).toThrow('819 values are not a picture of 20x13');
  });
});

describe('resizeInSlices', () => {
  const large = rgbPixels(3000, 2000, new Uint8Array(18e6).fill(77));

  it('gives the same picture and lets the event loop run', async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const sliced = await resizeInSlices(large, 224, 224);
    clearInterval(timer);
    expect(sliced).toEqual(resize(large, 224, 224));
    expect(turns).toBeGreaterThan(2);
  });

  it('stops at an abort', async () => {
    const controller = new AbortController();
    const run = resizeInSlices(large, 500, 500, { signal: controller.signal });
    const reason = new Error('enough');
    setImmediate(() => {
      controller.abort(reason);
    });
    await expect(run).rejects.toBe(reason);
  });
});
