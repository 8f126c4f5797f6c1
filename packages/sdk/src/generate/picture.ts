import { EmuError } from '@emu/program';

import type { Pixels } from '../image/pixels.js';
import { vaeDecodeProgram, vaeScale } from '../models/vae-program.js';
import type { LoadedModel } from '../session.js';
import { visualDecoderOf } from './visual-decoder.js';

export interface LatentSize {
  readonly height: number;
  readonly width: number;
}

/**
 * Latents of the diffusion process to a picture: f32[1,4,h,w] -> [8h,8w,3] u8.
 * @throws EmuError NON_FINITE where a number is none: as a byte it would be black, and nobody would know.
 * Source: Emu1/models/pipeline.py, decode_latents and numpy_to_pil.
 */
export async function decodePicture(
  model: LoadedModel,
  latents: Float32Array,
  size: LatentSize,
  signal?: AbortSignal,
): Promise<Pixels> {
  const { vae } = visualDecoderOf(model);
  await model.load('vae', { signal });
  const factor = Math.fround(1 / vae.scalingFactor);
  const executable = model.compiled(`vae/${size.height}x${size.width}`, () =>
    vaeDecodeProgram(vae, { batch: 1, ...size }),
  );
  const scaled = latents.map((value) => value * factor);
  const { image } = await executable.run({ latents: scaled }, signal ? { signal } : {});
  if (!(image instanceof Float32Array))
    throw new EmuError('INTERNAL', '[picture] the VAE returned no picture');
  checkFinite(image);
  return toPixels(image, size.width * vaeScale(vae), size.height * vaeScale(vae));
}

/**
 * A small picture of latents in between, for progress: the latents are averaged in squares until no side is above
 * `mostLatents`, then decoded, at a fraction of the cost of the whole. It needs no constants of a particular VAE.
 */
export async function previewPicture(
  model: LoadedModel,
  latents: Float32Array,
  size: LatentSize,
  signal?: AbortSignal,
  mostLatents = 16,
): Promise<Pixels> {
  const square = Math.ceil(Math.max(size.height, size.width) / mostLatents);
  const small = { height: Math.ceil(size.height / square), width: Math.ceil(size.width / square) };
  return decodePicture(model, averageSquares(latents, size, small, square), small, signal);
}

function averageSquares(
  latents: Float32Array,
  from: LatentSize,
  to: LatentSize,
  square: number,
): Float32Array {
  const channels = latents.length / (from.height * from.width);
  const small = new Float32Array(channels * to.height * to.width);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    const plane = channel * from.height * from.width;
    for (let y = 0; y < to.height; y++) {
      for (let x = 0; x < to.width; x++)
        small[at++] = averageOf(latents, plane, from, y * square, x * square, square);
    }
  }
  return small;
}

function averageOf(
  latents: Float32Array,
  plane: number,
  { height, width }: LatentSize,
  top: number,
  left: number,
  square: number,
): number {
  let sum = 0;
  let count = 0;
  for (let y = top; y < Math.min(top + square, height); y++) {
    for (let x = left; x < Math.min(left + square, width); x++) {
      sum += latents[plane + y * width + x] ?? 0;
      count += 1;
    }
  }
  return sum / count;
}

function checkFinite(image: Float32Array): void {
  for (let at = 0; at < image.length; at++) {
    const value = image[at];
    if (Number.isFinite(value)) continue;
    throw new EmuError('NON_FINITE', `[picture] value ${at} of the decoded picture is ${String(value)}`, {
      hint: 'Use embeddings and latents of the size that the model itself makes.',
      details: { index: at, value: String(value) },
    });
  }
}

/** [3,H,W] f32 of about -1..1 -> [H,W,3] u8, halves to even as numpy rounds. */
function toPixels(image: Float32Array, width: number, height: number): Pixels {
  const plane = width * height;
  const data = new Uint8Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < plane; i++) data[3 * i + channel] = toLevel(image[channel * plane + i] ?? 0);
  }
  return { width, height, data };
}

function toLevel(value: number): number {
  const unit = Math.min(Math.max(Math.fround(Math.fround(value / 2) + 0.5), 0), 1);
  const level = Math.fround(unit * 255);
  const below = Math.floor(level);
  const isHalf = level - below === 0.5;
  return isHalf ? below + (below % 2) : Math.round(level);
}
