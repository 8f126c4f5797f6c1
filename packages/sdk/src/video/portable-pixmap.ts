import { EmuError } from '@emu/program';

import type { Pixels } from '../image/pixels.js';
import { rgbPixels } from '../image/pixels.js';

/** "P6 width height 255" and one white space, as ffmpeg writes it. */
const header = /^P6\s(\d{1,5})\s(\d{1,5})\s255\s/;

/**
 * Splits a stream of binary PPM pictures, which is how ffmpeg hands over frames: each tells its own size.
 * @throws EmuError INVALID_VIDEO if the stream is not that, or is cut off.
 */
export function readPixmaps(stream: Uint8Array): Pixels[] {
  const frames: Pixels[] = [];
  for (let offset = 0; offset < stream.length;) {
    const start = Buffer.from(
      stream.buffer,
      stream.byteOffset + offset,
      Math.min(32, stream.length - offset),
    );
    const match = header.exec(start.toString('latin1'));
    const [width, height] = [Number(match?.[1]), Number(match?.[2])];
    const begin = offset + (match?.[0].length ?? 0);
    const end = begin + width * height * 3;
    if (!match || end > stream.length) {
      throw new EmuError(
        'INVALID_VIDEO',
        `[video] frame ${frames.length} of the decoder is broken or cut off`,
        {
          details: { frame: frames.length, offset, length: stream.length },
        },
      );
    }
    frames.push(rgbPixels(width, height, stream.subarray(begin, end)));
    offset = end;
  }
  return frames;
}
