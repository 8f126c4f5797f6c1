import { EmuError } from '@emu/program';

import { roundHalfEven } from '../rounding.js';

/**
 * The frames the authors take of a video: count indices, evenly spaced, ascending; a video with fewer frames
 * than asked for gives some of them twice. frameCount and count: 1 or more.
 * @throws EmuError INVALID_OPTION for counts that are none.
 * Source: Emu1/utils.py:7-14 (get_index): half a segment from the start, numpy's rounding of halves to even.
 */
export function sampleFrameIndices(frameCount: number, count: number): number[] {
  for (const [name, value] of Object.entries({ frameCount, count })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new EmuError('INVALID_OPTION', `[video] ${name} must be a whole number above 0, got ${value}`, {
        details: { [name]: value },
      });
    }
  }
  const segment = (frameCount - 1) / count;
  const start = Math.trunc(segment / 2);
  return Array.from({ length: count }, (_, i) => start + roundHalfEven(segment * i));
}
