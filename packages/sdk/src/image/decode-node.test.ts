import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import { EmuError } from '@emu/program';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { decodeImage } from './decode-node.js';
import { encodeJpeg, encodePng } from './encode-node.js';
import { rgbPixels } from './pixels.js';

const folder = join(import.meta.dirname, '../../../../testdata/image');

interface Expected {
  /** What tools/goldens/make_image_goldens.py read with Pillow. */
  readonly files: Readonly<
    Record<string, { readonly width: number; readonly height: number; readonly rgb: string }>
  >;
}
const { files } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;

/** Levels by which AVIF may differ: chroma is enlarged in another way. Everything else is equal. */
const avifTolerance: Readonly<Record<string, number>> = {
  'rgb.avif': 32,
  'rgb444.avif': 1,
  'lossless.avif': 1,
};

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return EmuError.isInstance(error)
      ? `${error.code} ${error.message}`
      : `not an EmuError: ${String(error)}`;
  }
  return 'no error';
}

describe('decodeImage', () => {
  it.each(Object.entries(files))('reads %s as Pillow does', async (name, golden) => {
    const pixels = await decodeImage(readFileSync(join(folder, name)));
    expect([pixels.width, pixels.height]).toEqual([golden.width, golden.height]);
    const expected = Buffer.from(golden.rgb, 'base64');
    let largest = 0;
    expected.forEach((level, i) => (largest = Math.max(largest, Math.abs(level - (pixels.data[i] ?? NaN)))));
    expect(largest).toBeLessThanOrEqual(avifTolerance[name] ?? 0);
  });

  it('refuses other formats by their content', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    expect(await failure(decodeImage(svg))).toBe(
      `INVALID_IMAGE [image] the ${svg.length} bytes that begin with 3c 73 76 67 20 78 6d 6c are none of ` +
        'png, jpeg, webp, gif, tiff, avif',
    );
    expect(await failure(decodeImage(new Uint8Array(0)))).toBe('INVALID_IMAGE [image] the file is empty');
    expect(await failure(decodeImage(Buffer.from('%PDF-1.7 and more')))).toContain('25 50 44 46');
    expect(await failure(decodeImage(Buffer.from('BM and a bitmap here')))).toContain('INVALID_IMAGE');
  });

  it('refuses files that are cut off', async () => {
    for (const name of ['rgb.png', 'rgb420.jpg', 'lossless.webp', 'palette.gif', 'rgb.tiff', 'rgb.avif']) {
      const bytes = readFileSync(join(folder, name));
      const text = await failure(decodeImage(bytes.subarray(0, Math.floor(bytes.length * 0.6))));
      expect(text, name).toMatch(/^INVALID_IMAGE \[image\] the \w+ file cannot be decoded: /);
    }
  });

  it('refuses pixel bombs before decoding them', async () => {
    // A header that promises 400 million pixels, 1.2 GB.
    const bomb = Uint8Array.from(readFileSync(join(folder, 'rgb.png')));
    const view = new DataView(bomb.buffer);
    view.setUint32(16, 20_000);
    view.setUint32(20, 20_000);
    view.setUint32(29, crc32(bomb.subarray(12, 29)));
    const start = performance.now();
    expect(await failure(decodeImage(bomb))).toBe(
      'IMAGE_TOO_LARGE [image] 20000x20000 is over the limit of 67108864 pixels and 65535 per side',
    );
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it('keeps to the limits of the caller', async () => {
    const bytes = readFileSync(join(folder, 'rgb.png'));
    expect(await failure(decodeImage(bytes, { maxPixels: 272 }))).toContain(
      '21x13 is over the limit of 272 pixels',
    );
    expect(await failure(decodeImage(bytes, { maxBytes: 100 }))).toBe(
      `IMAGE_TOO_LARGE [image] the file has ${bytes.length} bytes, at most 100 are accepted`,
    );
    expect(await failure(decodeImage(bytes, { maxPixels: NaN }))).toBe(
      'INVALID_OPTION [image] maxPixels must be an integer in 1..1073741824, got NaN',
    );
    expect((await decodeImage(bytes, { maxPixels: 273 })).width).toBe(21);
  });

  it('throws the reason of an aborted signal', async () => {
    const reason = new Error('no longer wanted');
    const bytes = readFileSync(join(folder, 'rgb.png'));
    await expect(decodeImage(bytes, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('ends damaged files in an EmuError or in a picture', async () => {
    const names = Object.keys(files);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }),
        async (name, damage) => {
          const bytes = Uint8Array.from(readFileSync(join(folder, name)));
          for (const [position, value] of damage) bytes[position % bytes.length] = value;
          const outcome = await failure(decodeImage(bytes, { maxPixels: 1e6 }));
          expect(outcome).toMatch(/^(no error|INVALID_IMAGE|IMAGE_TOO_LARGE)/);
        },
      ),
      { numRuns: 300, seed: 4 },
    );
  });
});

describe('encoding', () => {
  const pixels = rgbPixels(
    5,
    4,
    Uint8Array.from({ length: 60 }, (_, i) => (i * 37) % 256),
  );

  it('PNG comes back bit for bit', async () => {
    expect(Array.from((await decodeImage(await encodePng(pixels))).data)).toEqual(Array.from(pixels.data));
  });

  it('JPEG comes back about the same', async () => {
    const flat = rgbPixels(16, 16, new Uint8Array(768).fill(99));
    const back = await decodeImage(await encodeJpeg(flat, { quality: 95 }));
    expect(back.data.every((level) => Math.abs(level - 99) <= 1)).toBe(true);
  });

  it('refuses sides that do not fit and qualities that are none', async () => {
    expect(await failure(encodePng({ width: 5, height: 5, data: pixels.data }))).toBe(
      'INVALID_IMAGE [pixels] 60 values are not a picture of 5x5 with 3 channels',
    );
    expect(await failure(encodeJpeg(pixels, { quality: 0 }))).toBe(
      'INVALID_OPTION [image] quality must be an integer in 1..100, got 0',
    );
  });
});
