import type { SampleImage } from '@emu/data';
import { EmuError } from '@emu/program';

/** Side of the pictures the judge looks at; others are resampled to it. */
export const judgeSide = 64;

/** Three planes of 64 by 64 numbers, red, green, blue, 0..255. */
export type Canvas = readonly [Float32Array, Float32Array, Float32Array];

/** The value of a plane at a pixel. */
export function at(plane: Float32Array, column: number, row: number): number {
  return plane[row * judgeSide + column] ?? 0;
}

/**
 * Averages a square picture down (or repeats it up) to 64 by 64.
 * @throws EmuError INVALID_IMAGE when the data does not fit the size, or the picture is not square.
 */
export function toCanvas({ width, height, data }: SampleImage): Canvas {
  if (width !== height || width < 1 || data.length !== width * height * 3) {
    throw new EmuError(
      'INVALID_IMAGE',
      `[judge] needs a square RGB picture, got ${width}x${height} with ${data.length} bytes`,
      { details: { width, height, bytes: data.length } },
    );
  }
  const planes = [0, 1, 2].map(() => new Float32Array(judgeSide * judgeSide));
  const [red, green, blue] = planes;
  if (red === undefined || green === undefined || blue === undefined)
    throw new RangeError('[judge] three planes');
  const scale = width / judgeSide;
  for (let row = 0; row < judgeSide; row++) {
    const top = Math.floor(row * scale);
    const bottom = Math.max(top + 1, Math.floor((row + 1) * scale));
    for (let column = 0; column < judgeSide; column++) {
      const left = Math.floor(column * scale);
      const right = Math.max(left + 1, Math.floor((column + 1) * scale));
      const count = (bottom - top) * (right - left);
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          planes.forEach((plane, channel) => {
            const index = row * judgeSide + column;
            plane[index] = (plane[index] ?? 0) + (data[(y * width + x) * 3 + channel] ?? 0) / count;
          });
        }
      }
    }
  }
  return [red, green, blue];
}

/** The middle value; of nothing it is 0. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
