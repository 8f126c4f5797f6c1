import type { Style } from './attributes.js';

/**
 * How a style changes one colour channel. `value` 0..255, `channel` 0 red, 1 green, 2 blue; `column` and `row` count
 * 64ths of the picture's side, whatever its size in pixels.
 */
type StylePixel = (value: number, channel: 0 | 1 | 2, column: number, row: number) => number;

const nightTint: readonly [number, number, number] = [0, 5, 26];

/** Each style acts on every pixel of a picture, so that a patch of background suffices to name it. */
export const stylePixels: Readonly<Record<Style, StylePixel>> = {
  plain: (value) => value,
  pastel: (value) => 255 - (255 - value) * 0.58,
  night: (value, channel) => value * 0.52 + nightTint[channel],
  // Tiles of four by four with a dark joint of one.
  mosaic: (value, _channel, column, row) => (column % 4 === 3 || row % 4 === 3 ? value * 0.62 : value),
  // Light diagonal strokes, two wide, eight apart.
  sketch: (value, _channel, column, row) => ((column + row) % 8 < 2 ? 255 - (255 - value) * 0.55 : value),
};
