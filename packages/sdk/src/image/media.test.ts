import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { EmuError } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { ImageInput } from './media.js';
import { embedding, image, video } from './media.js';
import { readImage } from './read-media-node.js';

const file = join(import.meta.dirname, '../../../../testdata/image/rgb.png');
const bytes = readFileSync(file);

describe('image', () => {
  it('gives the same pixels from bytes, buffer, Blob, path, URL text and URL', async () => {
    const plain = Uint8Array.from(bytes);
    const inputs: ImageInput[] = [
      bytes,
      plain,
      plain.buffer,
      new Blob([plain]),
      file,
      pathToFileURL(file).href,
      pathToFileURL(file),
    ];
    const expected = await readImage(image(bytes));
    expect(expected.width).toBe(21);
    for (const input of inputs) expect(await readImage(image(input))).toEqual(expected);
  });

  it('takes ImageData without its alpha, and RGB pixels', async () => {
    const rgba = { width: 2, height: 1, data: Uint8ClampedArray.of(1, 2, 3, 0, 4, 5, 6, 255) };
    const pixels = await readImage(image(rgba));
    expect(Array.from(pixels.data)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await readImage(image(pixels))).toEqual(pixels);
  });

  it('opens no file before it is used', () => {
    expect(image('/no/such/file.png')).toEqual({
      kind: 'image',
      source: { kind: 'path', path: '/no/such/file.png' },
    });
  });

  it('refuses URLs it would have to fetch', () => {
    for (const url of [
      'https://example.org/cat.png',
      'HTTP://x/y',
      'data:image/png;base64,AA',
      'ftp://x/y',
    ]) {
      expect(() => image(url)).toThrow('is a URL, which is not fetched');
    }
    expect(() => image(new URL('https://example.org/cat.png'))).toThrow(
      '[media] https://example.org/cat.png is a URL, which is not fetched',
    );
    expect(image('odd:name.png').source.kind).toBe('path');
  });

  it('refuses what is no picture, naming it', () => {
    expect(() => image(5 as unknown as string)).toThrow('[image] cannot be made of number');
    expect(() => image(null as unknown as string)).toThrow('[image] cannot be made of null');
    expect(() => image({} as unknown as string)).toThrow('[image] cannot be made of Object');
    expect(() => image('')).toThrow('[media] an empty text is not a path');
    expect(() => image('a\0b')).toThrow('[media] a text with a NUL is not a path');
    expect(() => image({ width: 3, height: 1, data: new Uint8Array(6) })).toThrow(
      '6 values are not a picture of 3x1',
    );
    expect(() => image({ width: NaN, height: 1, data: new Uint8Array(0) })).toThrow('not a picture of NaNx1');
  });
});

describe('readImage', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'emu-media-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  async function failure(input: ImageInput, maxBytes?: number): Promise<string> {
    try {
      await readImage(image(input), maxBytes === undefined ? {} : { maxBytes });
    } catch (error) {
      return EmuError.isInstance(error) ? `${error.code} ${error.message}` : String(error);
    }
    return 'no error';
  }

  it('names a file that is missing, too large or no file', async () => {
    expect(await failure(join(folder, 'none.png'))).toContain(
      `MEDIA_NOT_FOUND [media] ${folder}/none.png cannot`,
    );
    expect(await failure(folder)).toBe(`INVALID_IMAGE [media] ${folder} is not a regular file`);
    const large = join(folder, 'large.png');
    writeFileSync(large, new Uint8Array(1000));
    expect(await failure(large, 999)).toBe(
      `IMAGE_TOO_LARGE [media] ${large} has 1000 bytes, at most 999 are accepted`,
    );
    expect(await failure(new Blob([new Uint8Array(5)]), 4)).toBe(
      'IMAGE_TOO_LARGE [media] the Blob has 5 bytes, at most 4 are accepted',
    );
    expect(await failure('file://host/elsewhere.png')).toContain(
      'INVALID_IMAGE [media] file://host/elsewhere.png',
    );
  });

  it.skipIf(process.platform === 'win32')('does not wait on a pipe', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(await failure(pipe)).toBe(`INVALID_IMAGE [media] ${pipe} is not a regular file`);
  });
});

describe('video', () => {
  it('asks for eight frames unless told otherwise', () => {
    expect(video('clip.mp4')).toEqual({
      kind: 'video',
      source: { kind: 'path', path: 'clip.mp4' },
      frameCount: 8,
    });
    expect(video('clip.mp4', { frameCount: 16 }).frameCount).toBe(16);
  });

  it('refuses counts and inputs, naming them', () => {
    expect(() => video('clip.mp4', { frameCount: 0 })).toThrow(
      'frameCount must be an integer in 1..256, got 0',
    );
    expect(() => video({} as unknown as string)).toThrow('[video] cannot be made of Object');
    expect(() => video('http://x/y.mp4')).toThrow('http://x/y.mp4 is a URL');
  });
});

describe('embedding', () => {
  it('keeps rows, width and space', () => {
    const made = embedding({ shape: [2, 3], data: new Float32Array(6) }, { space: 'emu-tiny' });
    expect(made.embeddings.shape).toEqual([2, 3]);
    expect(made.space).toBe('emu-tiny');
  });

  it('refuses other shapes and values that are no numbers', () => {
    expect(() => embedding({ shape: [6], data: new Float32Array(6) })).toThrow(
      '[embedding] shape [6] is not [N,D]',
    );
    expect(() => embedding({ shape: [2, 2], data: new Float32Array(6) })).toThrow(
      'needs 4 elements, data has 6',
    );
    expect(() => embedding({ shape: [1, 2], data: Float32Array.of(0, NaN) })).toThrow(
      '[embedding] value 1 is NaN',
    );
  });
});
