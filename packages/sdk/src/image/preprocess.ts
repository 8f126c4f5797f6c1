import type { FloatTensor } from '@emu/program';
import { floatTensor } from '@emu/program';

import type { Pixels } from './pixels.js';
import { resize, resizeInSlices } from './resize.js';

const f = Math.fround;

/** Mean and deviation of CLIP's training pictures, RGB, for values in 0..1. */
export const clipMean = [0.48145466, 0.4578275, 0.40821073] as const;
export const clipDeviation = [0.26862954, 0.26130258, 0.27577711] as const;

/** The normalised value of each of the 256 levels, per channel. */
export type LevelTables = readonly Float32Array[];

function tables(value: (level: number, mean: number, deviation: number) => number): LevelTables {
  return clipMean.map((mean, channel) =>
    Float32Array.from({ length: 256 }, (_, level) => value(level, mean, clipDeviation[channel] ?? 1)),
  );
}

const levelTables = {
  /** torchvision's ToTensor and Normalize: every operation rounded to f32. */
  f32: tables((level, mean, deviation) => f(f(f(level / 255) - f(mean)) / f(deviation))),
  /** utils.process_img: in f64, rounded once at the end. */
  f64: tables((level, mean, deviation) => (level / 255 - mean) / deviation),
};

/** Looks every level up in its channel's table. [H,W,3] u8 -> [3,H,W] f32. */
export function normalizeLevels(pixels: Pixels, levels: LevelTables): FloatTensor {
  const { width, height, data } = pixels;
  const plane = width * height;
  const out = new Float32Array(3 * plane);
  levels.forEach((table, channel) => {
    for (let i = 0; i < plane; i++)
      out[channel * plane + i] = table[data[3 * i + channel] as number] as number;
  });
  return floatTensor([3, height, width], out);
}

export interface PreprocessOptions {
  /**
   * Arithmetic of the normalisation: `f32` (default) as the picture pipeline's torchvision transform has it, `f64`
   * as `process_img` of the text examples. They differ in the last bit.
   */
  readonly arithmetic?: 'f32' | 'f64';
}

/**
 * Prepares a picture for Emu's visual encoder: squeezed to a square whatever its aspect ratio (bicubic, Pillow's),
 * normalised with CLIP's mean and deviation.
 * [H,W,3] u8 -> [3,size,size] f32, about -1.8..2.15.
 * @throws EmuError INVALID_OPTION for a size outside 1..65535, INVALID_IMAGE.
 * Source: Emu1/models/pipeline.py:59-63 and utils.py:17-30; equality is tested in preprocess.test.ts.
 */
export function preprocessForEncoder(
  pixels: Pixels,
  size: number,
  options: PreprocessOptions = {},
): FloatTensor {
  return normalizeLevels(resize(pixels, size, size), levelTables[options.arithmetic ?? 'f32']);
}

/**
 * The same without holding up the event loop while a large picture is resized.
 * @throws as `preprocessForEncoder`, or `signal.reason`.
 */
export async function preprocessForEncoderInSlices(
  pixels: Pixels,
  size: number,
  options: PreprocessOptions & { readonly signal?: AbortSignal | undefined } = {},
): Promise<FloatTensor> {
  const square = await resizeInSlices(pixels, size, size, { signal: options.signal });
  return normalizeLevels(square, levelTables[options.arithmetic ?? 'f32']);
}
