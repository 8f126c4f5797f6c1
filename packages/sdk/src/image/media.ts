import type { FloatTensor } from '@emu/program';
import { EmuError, floatTensor } from '@emu/program';

import type { Pixels, RgbaPixels } from './pixels.js';
import { rgbPixels, withoutAlpha } from './pixels.js';

/**
 * What a caller may hand over as a picture or video: the file's bytes, a Blob, decoded pixels (RGBA as ImageData
 * has them, or RGB), a path, or a `file:` URL. Strings are paths, or URLs when they begin with `file:`.
 */
export type ImageInput = Uint8Array | ArrayBuffer | Blob | RgbaPixels | Pixels | string | URL;
export type VideoInput = Uint8Array | ArrayBuffer | Blob | string | URL;

/** The same, sorted. Files are opened only when the prompt is used. */
export type MediaSource =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'blob'; readonly blob: Blob }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'file-url'; readonly url: string };

export interface ImageMedia {
  readonly kind: 'image';
  readonly source: MediaSource | { readonly kind: 'pixels'; readonly pixels: Pixels };
}

export interface VideoMedia {
  readonly kind: 'video';
  readonly source: MediaSource;
  /** Frames to take from it, evenly spaced; 8 as the authors do. */
  readonly frameCount: number;
}

export interface EmbeddingMedia {
  readonly kind: 'embedding';
  /** [N,D] f32: the N visual embeddings of one picture, in the width of the language model. */
  readonly embeddings: FloatTensor;
  /** The model whose space they are from; undefined when unknown. Spaces never mix. */
  readonly space: string | undefined;
}

/** Anything in a prompt that is not text. */
export type Media = ImageMedia | VideoMedia | EmbeddingMedia;
/** One element of a prompt. A string is always text. */
export type PromptItem = string | Media;

type MediaCode = 'INVALID_IMAGE' | 'INVALID_VIDEO';

const defaultFrameCount = 8;
const maxFrameCount = 256;
/** Schemes that name something not on this machine or not a file. A path may well hold a colon otherwise. */
const refusedUrl = /^(?:[a-z][a-z0-9+.-]*:\/\/|data:|blob:)/i;

function refuseUrl(url: string, code: MediaCode): never {
  const shown = url.length > 80 ? `${url.slice(0, 80)}...` : url;
  throw new EmuError(code, `[media] ${shown} is a URL, which is not fetched`, {
    hint: 'Fetch it yourself and pass the bytes, or pass a path or a file: URL.',
    details: { url: shown },
  });
}

function textSource(text: string, code: MediaCode): MediaSource {
  if (text === '' || text.includes('\0')) {
    throw new EmuError(code, `[media] ${text === '' ? 'an empty text' : 'a text with a NUL'} is not a path`, {
      hint: 'Pass the path of a file, or its bytes.',
    });
  }
  if (/^file:/i.test(text)) return { kind: 'file-url', url: text };
  if (refusedUrl.test(text)) refuseUrl(text, code);
  return { kind: 'path', path: text };
}

function mediaSource(input: VideoInput, code: MediaCode): MediaSource | undefined {
  if (typeof input === 'string') return textSource(input, code);
  if (input instanceof URL) {
    return input.protocol === 'file:' ? { kind: 'file-url', url: input.href } : refuseUrl(input.href, code);
  }
  if (input instanceof Uint8Array) return { kind: 'bytes', bytes: input };
  if (input instanceof ArrayBuffer) return { kind: 'bytes', bytes: new Uint8Array(input) };
  if (typeof Blob === 'function' && input instanceof Blob) return { kind: 'blob', blob: input };
  return undefined;
}

function isPixels(input: unknown): input is Pixels | RgbaPixels {
  if (typeof input !== 'object' || input === null) return false;
  const { width, height, data } = input as Partial<Pixels>;
  const isBytes = ArrayBuffer.isView(data) && data.BYTES_PER_ELEMENT === 1;
  return typeof width === 'number' && typeof height === 'number' && isBytes;
}

function typeName(input: unknown): string {
  if (input === null || typeof input !== 'object') return input === null ? 'null' : typeof input;
  return Object.prototype.toString.call(input).slice('[object '.length, -1);
}

/**
 * A picture for a prompt. Pixels are checked now, files are read when the prompt is used. Pixels with four values
 * each lose their alpha.
 * @throws EmuError INVALID_IMAGE for http(s) and other URLs, for pixels whose sides do not fit, for anything else.
 */
export function image(input: ImageInput): ImageMedia {
  const source = mediaSource(input as VideoInput, 'INVALID_IMAGE');
  if (source) return { kind: 'image', source };
  if (!isPixels(input)) {
    throw new EmuError('INVALID_IMAGE', `[image] cannot be made of ${typeName(input)}`, {
      hint: 'Pass bytes, a Blob, ImageData, RGB pixels, a path or a file: URL.',
      details: { type: typeName(input) },
    });
  }
  const { width, height, data } = input;
  const hasAlpha = data.length === width * height * 4;
  const pixels = hasAlpha
    ? withoutAlpha({ width, height, data })
    : rgbPixels(width, height, new Uint8Array(data.buffer, data.byteOffset, data.length));
  return { kind: 'image', source: { kind: 'pixels', pixels } };
}

/**
 * A video for a prompt. frameCount: frames taken from it, evenly spaced, 1..256, default 8 (the authors').
 * @throws EmuError INVALID_VIDEO for URLs that are not `file:` and for anything that is no video input,
 * INVALID_OPTION for the frame count.
 */
export function video(input: VideoInput, options: { readonly frameCount?: number } = {}): VideoMedia {
  const { frameCount = defaultFrameCount } = options;
  if (!Number.isInteger(frameCount) || frameCount < 1 || frameCount > maxFrameCount) {
    throw new EmuError(
      'INVALID_OPTION',
      `[video] frameCount must be an integer in 1..${maxFrameCount}, got ${frameCount}`,
      { details: { frameCount, maximum: maxFrameCount } },
    );
  }
  const source = mediaSource(input, 'INVALID_VIDEO');
  if (!source) {
    throw new EmuError('INVALID_VIDEO', `[video] cannot be made of ${typeName(input)}`, {
      hint: 'Pass bytes, a Blob, a path or a file: URL.',
      details: { type: typeName(input) },
    });
  }
  return { kind: 'video', source, frameCount };
}

/**
 * The visual embeddings of one picture, as `encodeImages` returns them: [N,D] f32.
 * space: the id of the model they were made by, so that another model can refuse them.
 * @throws EmuError TENSOR_SHAPE_MISMATCH for another shape, NON_FINITE for NaN or infinity, naming where.
 */
export function embedding(
  embeddings: { readonly shape: readonly number[]; readonly data: Float32Array },
  options: { readonly space?: string } = {},
): EmbeddingMedia {
  const { shape } = embeddings;
  if (shape.length !== 2 || !shape.every((side) => Number.isInteger(side) && side >= 1)) {
    throw new EmuError('TENSOR_SHAPE_MISMATCH', `[embedding] shape [${shape.join(',')}] is not [N,D]`, {
      details: { shape },
    });
  }
  const index = embeddings.data.findIndex((value) => !Number.isFinite(value));
  if (index >= 0) {
    throw new EmuError('NON_FINITE', `[embedding] value ${index} is ${embeddings.data[index]}`, {
      details: { index },
    });
  }
  return { kind: 'embedding', embeddings: floatTensor(shape, embeddings.data), space: options.space };
}
