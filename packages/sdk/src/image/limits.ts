import { EmuError } from '@emu/program';

import { maxSide } from './pixels.js';

/** Bounds for pictures from outside. */
export interface ImageLimits {
  /** Pixels of the decoded picture, default 64 Mi (192 MiB as RGB). */
  readonly maxPixels?: number;
  /** Bytes of the file, default 64 MiB. */
  readonly maxBytes?: number;
}

export const defaultMaxPixels = 64 * 2 ** 20;
export const defaultMaxImageBytes = 64 * 2 ** 20;
const ceiling = 2 ** 30;

/** Fills in the defaults. @throws EmuError INVALID_OPTION for a limit that is no count up to 2^30. */
export function checkedLimits(limits: ImageLimits): Required<ImageLimits> {
  const { maxPixels = defaultMaxPixels, maxBytes = defaultMaxImageBytes } = limits;
  for (const [name, value] of Object.entries({ maxPixels, maxBytes })) {
    if (!Number.isInteger(value) || value < 1 || value > ceiling) {
      throw new EmuError(
        'INVALID_OPTION',
        `[image] ${name} must be an integer in 1..${ceiling}, got ${value}`,
        {
          details: { [name]: value, maximum: ceiling },
        },
      );
    }
  }
  return { maxPixels, maxBytes };
}

/** @throws EmuError IMAGE_TOO_LARGE if the file has more bytes than accepted. */
export function checkByteCount(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes) {
    throw new EmuError(
      'IMAGE_TOO_LARGE',
      `[image] the file has ${bytes} bytes, at most ${maxBytes} are accepted`,
      {
        hint: 'Send a smaller picture or raise maxBytes.',
        details: { bytes, maxBytes },
      },
    );
  }
}

/** @throws EmuError IMAGE_TOO_LARGE if the picture has more pixels, or a longer side, than accepted. */
export function checkPixelCount(width: number, height: number, maxPixels: number): void {
  if (width * height > maxPixels || width > maxSide || height > maxSide) {
    throw new EmuError(
      'IMAGE_TOO_LARGE',
      `[image] ${width}x${height} is over the limit of ${maxPixels} pixels and ${maxSide} per side`,
      {
        hint: 'Send a smaller picture or raise maxPixels.',
        details: { width, height, maxPixels, maxSide },
      },
    );
  }
}
