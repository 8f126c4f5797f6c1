import { EmuError } from '@emu/program';
import type { Sharp as SharpPipeline } from 'sharp';

import type { Pixels } from './pixels.js';
import { rgbPixels } from './pixels.js';
import { loadSharp } from './sharp-node.js';

async function rawPipeline(pixels: Pixels): Promise<SharpPipeline> {
  const { width, height, data } = rgbPixels(pixels.width, pixels.height, pixels.data);
  const sharp = await loadSharp();
  return sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
}

/**
 * Encodes a picture as PNG, without loss. [H,W,3] u8 -> file bytes.
 * @throws EmuError INVALID_IMAGE if the sides do not fit the data, CAPABILITY_MISSING without sharp.
 */
export async function encodePng(pixels: Pixels): Promise<Uint8Array> {
  return (await rawPipeline(pixels)).png().toBuffer();
}

/**
 * Encodes a picture as JPEG. [H,W,3] u8 -> file bytes.
 * quality: 1..100, default 90; chroma is halved below 90, as encoders do.
 * @throws EmuError INVALID_OPTION for another quality, INVALID_IMAGE, CAPABILITY_MISSING.
 */
export async function encodeJpeg(
  pixels: Pixels,
  options: { readonly quality?: number } = {},
): Promise<Uint8Array> {
  const { quality = 90 } = options;
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new EmuError('INVALID_OPTION', `[image] quality must be an integer in 1..100, got ${quality}`, {
      details: { quality },
    });
  }
  const pipeline = await rawPipeline(pixels);
  return pipeline.jpeg({ quality, chromaSubsampling: quality < 90 ? '4:2:0' : '4:4:4' }).toBuffer();
}
