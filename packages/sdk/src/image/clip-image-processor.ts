import { EmuError } from '@emu/program';
import type { FloatTensor } from '@emu/program';
import { z } from 'zod';

import type { Pixels } from './pixels.js';
import type { LevelTables } from './preprocess.js';
import { clipDeviation, clipMean, normalizeLevels } from './preprocess.js';
import type { ResizeFilter } from './resize.js';
import { resize } from './resize.js';

const f = Math.fround;

const side = z.int().min(1).max(4096);
const channelValues = z.tuple([z.number(), z.number(), z.number()]);

// Files of before 2023 give sizes as one number and no rescale_factor.
const schema = z.looseObject({
  do_resize: z.boolean().default(true),
  size: z
    .union([
      side.transform((edge) => ({ shortest_edge: edge })),
      z.object({ shortest_edge: side }),
      z.object({ height: side, width: side }),
    ])
    .default({ shortest_edge: 224 }),
  resample: z.union([z.literal(2), z.literal(3)]).default(3),
  do_center_crop: z.boolean().default(true),
  crop_size: z
    .union([
      side.transform((edge) => ({ height: edge, width: edge })),
      z.object({ height: side, width: side }),
    ])
    .default({ height: 224, width: 224 }),
  do_rescale: z.literal(true).default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: channelValues.default([...clipMean]),
  image_std: channelValues
    .refine((values) => values.every((value) => value > 0), 'must be above 0')
    .default([...clipDeviation]),
});

/** A preprocessor_config.json of CLIP with the defaults filled in. */
export type ClipImageConfig = z.output<typeof schema>;

/**
 * Checks the content of a preprocessor_config.json.
 * @throws EmuError INVALID_CONFIG naming the key and what is wrong.
 */
export function parseClipImageConfig(json: unknown): ClipImageConfig {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = issue?.path.join('.') || '(whole file)';
  throw new EmuError('INVALID_CONFIG', `[clip image config] ${key}: ${issue?.message ?? 'invalid'}`, {
    hint: 'Use the preprocessor_config.json of the checkpoint.',
    details: { key },
  });
}

/** The size whose shorter side is `edge`, the longer one cut to a whole number. */
function sizeByShortestEdge({ width, height }: Pixels, edge: number): { width: number; height: number } {
  return width <= height
    ? { width: edge, height: Math.trunc((edge * height) / width) }
    : { width: Math.trunc((edge * width) / height), height: edge };
}

/** The middle of a picture; where it is smaller than the crop, black is added around it. */
function centerCrop(pixels: Pixels, width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  const left = cropStart(pixels.width, width);
  const top = cropStart(pixels.height, height);
  const firstColumn = Math.max(0, -left);
  const lastColumn = Math.min(width, pixels.width - left);
  for (let y = Math.max(0, -top); y < Math.min(height, pixels.height - top); y++) {
    const row = ((y + top) * pixels.width + left) * 3;
    data.set(
      pixels.data.subarray(row + firstColumn * 3, row + lastColumn * 3),
      (y * width + firstColumn) * 3,
    );
  }
  return { width, height, data };
}

/** Where the crop begins; before 0 when the picture is smaller. Halves are rounded down in both cases. */
function cropStart(have: number, want: number): number {
  return have >= want ? Math.floor((have - want) / 2) : -Math.floor((want - have) / 2);
}

function levelTables(config: ClipImageConfig): LevelTables {
  return config.image_mean.map((mean, channel) =>
    Float32Array.from({ length: 256 }, (_, level) => {
      const value = f(level * config.rescale_factor);
      return config.do_normalize ? f(value - f(mean)) / f(config.image_std[channel] ?? 1) : value;
    }),
  );
}

/**
 * Prepares a picture for the CLIP encoder of the safety checker: the shorter side resized, the middle cut out,
 * levels scaled and normalised. [H,W,3] u8 -> [3,crop height,crop width] f32.
 * @throws EmuError INVALID_IMAGE, or IMAGE_TOO_LARGE for an extreme aspect ratio.
 * Source: transformers 4.29 CLIPImageProcessor.
 */
export function clipImageProcessor(pixels: Pixels, config: ClipImageConfig): FloatTensor {
  let picture = pixels;
  if (config.do_resize) {
    const { size } = config;
    const target = 'shortest_edge' in size ? sizeByShortestEdge(pixels, size.shortest_edge) : size;
    const filter: ResizeFilter = config.resample === 3 ? 'bicubic' : 'bilinear';
    picture = resize(picture, target.width, target.height, filter);
  }
  if (config.do_center_crop) picture = centerCrop(picture, config.crop_size.width, config.crop_size.height);
  return normalizeLevels(picture, levelTables(config));
}
