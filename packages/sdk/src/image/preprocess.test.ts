import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import {
  referenceExists,
  referenceFloats,
  referenceJson,
  referencePath,
  referenceTensor,
} from '../testing/reference-data.js';
import { clipImageProcessor, parseClipImageConfig } from './clip-image-processor.js';
import { decodeImage } from './decode-node.js';
import type { Pixels } from './pixels.js';
import { rgbPixels } from './pixels.js';
import { preprocessForEncoder, preprocessForEncoderInSlices } from './preprocess.js';
import { resize } from './resize.js';

const file = 'goldens/preprocess.safetensors';

function input(name: string): Promise<Pixels> {
  return decodeImage(readFileSync(referencePath(`inputs/${name}`)));
}

describe.skipIf(!referenceExists)("the authors' preprocessing", () => {
  it.each(['image0', 'image1', 'image2'])('%s: resized and normalised bit for bit', async (name) => {
    const pixels = await input(`${name}.png`);
    expect(resize(pixels, 56, 56).data).toEqual(referenceTensor(file, `${name}.resized56_u8`).data);
    const prepared = preprocessForEncoder(pixels, 56);
    expect(prepared.shape).toEqual([3, 56, 56]);
    expect(prepared.data).toEqual(referenceFloats(file, `${name}.pixel_values`));
  });

  it.each(['image0', 'image1'])('%s: at 224', async (name) => {
    const pixels = await input(`${name}.png`);
    expect(resize(pixels, 224, 224).data).toEqual(referenceTensor(file, `${name}.resized224_u8`).data);
  });

  it('enlarges', async () => {
    const pixels = await input('small.png');
    expect(resize(pixels, 56, 56).data).toEqual(referenceTensor(file, 'small.upscaled_u8').data);
  });

  it('reads a JPEG to the same values', async () => {
    const prepared = preprocessForEncoder(await input('original.jpg'), 56);
    expect(prepared.data).toEqual(referenceFloats(file, 'jpeg.pixel_values'));
  });

  it('has the f64 normalisation of process_img', async () => {
    const prepared = preprocessForEncoder(await input('image0.png'), 224, { arithmetic: 'f64' });
    const crop = new Float32Array(3 * 64 * 80);
    for (let channel = 0, to = 0; channel < 3; channel++) {
      for (let y = 64; y < 128; y++, to += 80) {
        const row = (channel * 224 + y) * 224;
        crop.set(prepared.data.subarray(row + 80, row + 160), to);
      }
    }
    expect(crop).toEqual(referenceFloats(file, 'image0.process_img_crop'));
  });

  it('gives the same in slices', async () => {
    const pixels = await input('image1.png');
    expect(await preprocessForEncoderInSlices(pixels, 56)).toEqual(preprocessForEncoder(pixels, 56));
  });

  it('prepares pictures for the safety checker', () => {
    const config = parseClipImageConfig(
      referenceJson('checkpoint/feature_extractor/preprocessor_config.json'),
    );
    const images = referenceTensor('goldens/safety.safetensors', 'images_u8');
    const expected = referenceFloats('goldens/safety.safetensors', 'pixel_values');
    const values = 3 * 28 * 28;
    for (let i = 0; i < 8; i++) {
      const levels = (images.data as Uint8Array).subarray(i * 64 * 64 * 3, (i + 1) * 64 * 64 * 3);
      const prepared = clipImageProcessor(rgbPixels(64, 64, levels), config);
      expect(prepared.shape).toEqual([3, 28, 28]);
      expect(prepared.data).toEqual(expected.slice(i * values, (i + 1) * values));
    }
  });
});

describe('parseClipImageConfig', () => {
  it('reads the older form, one number for a size', () => {
    const config = parseClipImageConfig({ size: 224, crop_size: 200, resample: 3 });
    expect(config.size).toEqual({ shortest_edge: 224 });
    expect(config.crop_size).toEqual({ height: 200, width: 200 });
    expect(config.rescale_factor).toBe(1 / 255);
  });

  it('names the key it cannot honour', () => {
    expect(() => parseClipImageConfig({ resample: 1 })).toThrow('[clip image config] resample: ');
    expect(() => parseClipImageConfig({ image_std: [1, 0, 1] })).toThrow('image_std: must be above 0');
    expect(() => parseClipImageConfig({ do_rescale: false })).toThrow('do_rescale: ');
    expect(() => parseClipImageConfig({ size: 1e9 })).toThrow('size: ');
    expect(() => parseClipImageConfig('x')).toThrow('(whole file): ');
  });
});

describe('clipImageProcessor', () => {
  const config = parseClipImageConfig({ size: 4, crop_size: 4, do_normalize: false, rescale_factor: 1 });

  it('cuts the middle out of a wide picture', () => {
    // Columns 0..7, so the crop must hold columns 2..5.
    const data = Uint8Array.from({ length: 8 * 4 * 3 }, (_, i) => Math.floor((i % 24) / 3));
    const prepared = clipImageProcessor(rgbPixels(8, 4, data), config);
    expect(Array.from(prepared.data.slice(0, 4))).toEqual([2, 3, 4, 5]);
  });

  it('adds black around a picture smaller than the crop', () => {
    const prepared = clipImageProcessor(rgbPixels(2, 2, new Uint8Array(12).fill(9)), {
      ...config,
      do_resize: false,
    });
    expect(Array.from(prepared.data.slice(0, 16))).toEqual([0, 0, 0, 0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 0, 0, 0]);
  });

  it('refuses a sliver that would grow without bound', () => {
    const sliver = rgbPixels(1, 60_000, new Uint8Array(180_000));
    expect(() => clipImageProcessor(sliver, config)).toThrow(
      '[resize] height must be an integer in 1..65535',
    );
  });
});
