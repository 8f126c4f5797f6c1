import type { SampleImage } from '@emu/data';
import { EmuError } from '@emu/program';

import { rgbPixels } from '../../image/pixels.js';
import { resize } from '../../image/resize.js';
import type { SampleReader } from './sample-reader.js';

/** Pictures for the autoencoder, [B,3,S,S] f32 in -1..1, and the samples they are from. */
export interface PictureBatch {
  readonly image: Float32Array;
  readonly names: readonly string[];
}

/** Squeezed to a square and scaled: [H,W,3] u8 -> [3,size,size] f32 in -1..1. */
export function latentPixels({ width, height, data }: SampleImage, size: number): Float32Array {
  const square = resize(rgbPixels(width, height, data), size, size);
  const plane = size * size;
  const out = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let channel = 0; channel < 3; channel++) {
      out[channel * plane + i] = ((square.data[3 * i + channel] ?? 0) / 255) * 2 - 1;
    }
  }
  return out;
}

/** The first picture of each of the next samples that have one. @throws EmuError INVALID_CONFIG if hardly any has. */
export async function nextPictures(reader: SampleReader, batch: number, size: number): Promise<PictureBatch> {
  const length = 3 * size * size;
  const image = new Float32Array(batch * length);
  const names: string[] = [];
  for (let refused = 0; names.length < batch;) {
    const { sample } = await reader.next();
    const picture = sample.elements.find((element) => element.type === 'image');
    if (picture !== undefined) {
      image.set(latentPixels(picture.image, size), names.length * length);
      names.push(sample.id);
    } else if (++refused > 100 * batch) {
      throw new EmuError('INVALID_CONFIG', `[train] the source ${reader.name} has no pictures`, {
        details: { source: reader.name },
      });
    }
  }
  return { image, names };
}
