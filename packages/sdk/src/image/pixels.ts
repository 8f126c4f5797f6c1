import { EmuError } from '@emu/program';

/** A picture: [height, width, 3] u8, sRGB 0..255, rows from the top, no gaps. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A browser's ImageData, or anything of its shape: [height, width, 4] u8, RGBA. */
export interface RgbaPixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray | Uint8Array;
}

/** Longest side of a picture, that of JPEG. It bounds the tables of the resize. */
export const maxSide = 65_535;

function isSide(side: unknown): boolean {
  return Number.isInteger(side) && (side as number) >= 1 && (side as number) <= maxSide;
}

/** @throws EmuError INVALID_IMAGE if the sides are not 1..65535 or do not fit the data. */
function checkSides(place: string, width: number, height: number, length: number, channels: number): void {
  if (!isSide(width) || !isSide(height) || length !== width * height * channels) {
    throw new EmuError(
      'INVALID_IMAGE',
      `[${place}] ${length} values are not a picture of ${width}x${height} with ${channels} channels`,
      {
        hint: `Sides must be in 1..${maxSide}, data must have width * height * ${channels} values.`,
        details: { width, height, channels, length },
      },
    );
  }
}

/**
 * Makes a picture of RGB bytes; they are not copied. A Node Buffer becomes the plain array it is.
 * @throws EmuError INVALID_IMAGE if the sides are not in 1..65535 or do not fit the data.
 */
export function rgbPixels(width: number, height: number, data: Uint8Array): Pixels {
  checkSides('pixels', width, height, data.length, 3);
  const isPlain = Object.getPrototypeOf(data) === Uint8Array.prototype;
  return { width, height, data: isPlain ? data : new Uint8Array(data.buffer, data.byteOffset, data.length) };
}

/**
 * Drops the alpha of RGBA values, as Pillow's convert('RGB') does: colours are not blended with anything.
 * @throws EmuError INVALID_IMAGE if the sides do not fit the data.
 */
export function withoutAlpha(image: RgbaPixels): Pixels {
  const { width, height, data } = image;
  checkSides('pixels', width, height, data.length, 4);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from] as number;
    rgb[to + 1] = data[from + 1] as number;
    rgb[to + 2] = data[from + 2] as number;
  }
  return { width, height, data: rgb };
}
