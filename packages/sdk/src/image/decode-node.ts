import { EmuError } from '@emu/program';
import type { Sharp as SharpPipeline, SharpOptions } from 'sharp';

import { fillGifGaps } from './gif-frame.js';
import type { ImageFormat } from './image-format.js';
import { imageFormats, sniffImageFormat } from './image-format.js';
import type { ImageLimits } from './limits.js';
import { checkByteCount, checkedLimits, checkPixelCount } from './limits.js';
import type { Pixels } from './pixels.js';
import { rgbPixels, withoutAlpha } from './pixels.js';
import { loadSharp } from './sharp-node.js';

export interface DecodeOptions extends ImageLimits {
  /** Checked before and after decoding; the decoding itself ends by its time limit. */
  readonly signal?: AbortSignal;
}

/** A picture within the limits is decoded in a second or two; this ends one that is made to be slow. */
const timeoutSeconds = 60;

/** How the samples of a file become RGB. Each way is one that Pillow takes for such files. */
type Conversion = 'direct' | 'gif' | 'cmyk' | 'gray16';

function invalid(message: string, details: Readonly<Record<string, unknown>>, cause?: unknown): EmuError {
  return new EmuError('INVALID_IMAGE', `[image] ${message}`, {
    hint: 'Check that the file opens in a picture viewer, or save it again as PNG.',
    details,
    cause,
  });
}

function checkedFormat(bytes: Uint8Array): ImageFormat {
  const format = sniffImageFormat(bytes);
  if (format) return format;
  const start = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new EmuError(
    'INVALID_IMAGE',
    bytes.length === 0
      ? '[image] the file is empty'
      : `[image] the ${bytes.length} bytes that begin with ${start} are none of ${imageFormats.join(', ')}`,
    { hint: 'Convert the picture to PNG or JPEG.', details: { length: bytes.length, start } },
  );
}

interface Header {
  readonly width: number;
  readonly height: number;
  readonly conversion: Conversion;
}

/** Reads the header only and decides before any pixel is decoded. */
async function readHeader(pipeline: SharpPipeline, format: ImageFormat): Promise<Header> {
  const { width, height, space, depth, channels } = await pipeline.metadata();
  const isInteger = depth === 'uchar' || depth === 'ushort';
  const isKnownSpace = ['srgb', 'rgb', 'rgb16', 'b-w', 'grey16', 'cmyk'].includes(space);
  if (!isInteger || !isKnownSpace || (space === 'cmyk' && depth !== 'uchar')) {
    throw invalid(`samples of type ${depth} in colour space ${space} are not supported`, { depth, space });
  }
  const conversion: Conversion =
    space === 'cmyk'
      ? 'cmyk'
      : depth === 'ushort' && channels === 1
        ? 'gray16'
        : format === 'gif'
          ? 'gif'
          : 'direct';
  return { width, height, conversion };
}

/** Pillow's CMYK to RGB: no profile, paper white times ink (Convert.c cmyk2rgb). */
function rgbFromCmyk(cmyk: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / channels) * 3);
  for (let from = 0, to = 0; to < rgb.length; from += channels, to += 3) {
    const paper = 255 - (cmyk[from + 3] as number);
    for (let ink = 0; ink < 3; ink++) {
      const product = (cmyk[from + ink] as number) * paper + 128;
      rgb[to + ink] = paper - (((product >> 8) + product) >> 8);
    }
  }
  return rgb;
}

/** Pillow's 16-bit grey to RGB: values above 255 are white (mode I;16 is clipped, not scaled). */
function rgbFromGray16(gray: Uint16Array): Uint8Array {
  const rgb = new Uint8Array(gray.length * 3);
  for (let i = 0, to = 0; i < gray.length; i++) {
    const level = Math.min(gray[i] as number, 255);
    rgb[to++] = level;
    rgb[to++] = level;
    rgb[to++] = level;
  }
  return rgb;
}

async function readPixels(pipeline: SharpPipeline, header: Header, bytes: Uint8Array): Promise<Pixels> {
  const { width, height, conversion } = header;
  switch (conversion) {
    case 'direct': {
      const data = await pipeline.removeAlpha().toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer();
      return rgbPixels(width, height, data);
    }
    case 'gif': {
      const data = await pipeline.toColourspace('srgb').ensureAlpha().raw({ depth: 'uchar' }).toBuffer();
      fillGifGaps(bytes, data, width);
      return withoutAlpha({ width, height, data });
    }
    case 'cmyk': {
      const raw = pipeline.pipelineColourspace('cmyk').toColourspace('cmyk').raw({ depth: 'uchar' });
      const { data, info } = await raw.toBuffer({ resolveWithObject: true });
      return rgbPixels(width, height, rgbFromCmyk(data, info.channels));
    }
    case 'gray16': {
      const data = await pipeline.toColourspace('grey16').raw({ depth: 'ushort' }).toBuffer();
      const samples = new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
      return rgbPixels(width, height, rgbFromGray16(samples));
    }
  }
}

/**
 * Decodes a PNG, JPEG, WebP, GIF, TIFF or AVIF file to RGB, exactly as Pillow's `Image.open(...).convert('RGB')`:
 * alpha is dropped and not blended, colour profiles and the EXIF rotation are ignored (as the authors ignore
 * them), animations give their first frame. AVIF is decoded but not bit-equal to Pillow's.
 *
 * bytes: the file; its format is read from its content. -> [H,W,3] u8.
 * @throws EmuError INVALID_IMAGE for other formats and for broken or cut-off files, IMAGE_TOO_LARGE over the
 * limits (before any pixel is decoded), CAPABILITY_MISSING without sharp, or `signal.reason`.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Pixels> {
  const { signal } = options;
  const { maxPixels, maxBytes } = checkedLimits(options);
  signal?.throwIfAborted();
  checkByteCount(bytes.length, maxBytes);
  const format = checkedFormat(bytes);
  const sharp = await loadSharp();
  const open = (limitInputPixels: number | false): SharpPipeline => {
    // ignoreIcc: Pillow hands out the stored colours. failOn: what Pillow stops at, a cut-off or broken file.
    const settings: SharpOptions = { ignoreIcc: true, failOn: 'error', limitInputPixels, pages: 1 };
    return sharp(bytes, settings).timeout({ seconds: timeoutSeconds });
  };
  try {
    const header = await readHeader(open(false), format);
    checkPixelCount(header.width, header.height, maxPixels);
    signal?.throwIfAborted();
    const pixels = await readPixels(open(maxPixels), header, bytes);
    signal?.throwIfAborted();
    return pixels;
  } catch (error) {
    if (EmuError.isInstance(error) || signal?.aborted) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw invalid(
      `the ${format} file cannot be decoded: ${reason}`,
      { format, length: bytes.length, reason },
      error,
    );
  }
}
