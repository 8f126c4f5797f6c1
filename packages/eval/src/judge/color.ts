import { colors, colorValues, type Color, type Rgb, type Texture } from '@emu/data';
import { at, judgeSide, type Canvas } from './canvas.js';
import type { Region } from './regions.js';

/** The colours a pixel of each object can have: its fill, and the second colour of a stripe or a dot. */
const palette: readonly { readonly color: Color; readonly isShade: boolean; readonly value: Rgb }[] =
  colors.flatMap((color) => [
    { color, isShade: false, value: colorValues[color] },
    { color, isShade: true, value: secondColor(color) },
  ]);

/** The second colour of a stripe or a dot on a fill. */
export function secondColor(color: Color): Rgb {
  if (color === 'white') return [180, 180, 180];
  if (color === 'black') return [80, 80, 80];
  const [red, green, blue] = colorValues[color];
  return [red * 0.55, green * 0.55, blue * 0.55];
}

/** Pixels whose four neighbours are there as well; all where that leaves fewer than `least`. */
function innerPixels(pixels: readonly number[], least: number): readonly number[] {
  const all = new Set(pixels);
  const inner = pixels.filter((pixel) =>
    [pixel - 1, pixel + 1, pixel - judgeSide, pixel + judgeSide].every((next) => all.has(next)),
  );
  return inner.length >= least ? inner : pixels;
}

/** The colour of a region, by vote of its inner pixels, and its texture, by where the second colour lies. */
export function judgeColor(canvas: Canvas, region: Region): { color: Color; texture: Texture } {
  const pixels = innerPixels(region.pixels, 12);
  const votes = new Map<Color, number>();
  for (const pixel of pixels) {
    const nearest = nearestEntry(canvas, pixel);
    // A fill says more than a second colour, which blends of other colours can look like.
    votes.set(nearest.color, (votes.get(nearest.color) ?? 0) + (nearest.isShade ? 0.6 : 1));
  }
  const [[color] = ['black' as Color]] = [...votes].sort((a, b) => b[1] - a[1]);
  return { color, texture: judgeTexture(canvas, innerPixels(pixels, pixels.length * 0.45), color) };
}

function nearestEntry(canvas: Canvas, pixel: number): (typeof palette)[number] {
  const [column, row] = [pixel % judgeSide, Math.floor(pixel / judgeSide)];
  let best = palette[0] as (typeof palette)[number];
  let least = Infinity;
  for (const entry of palette) {
    const distance = entry.value.reduce(
      (sum, value, channel) => sum + (value - at(canvas[channel as 0 | 1 | 2], column, row)) ** 2,
      0,
    );
    if (distance < least) {
      least = distance;
      best = entry;
    }
  }
  return best;
}

/** How far each pixel is from the fill towards the second colour, 0..1. */
function shadeOf(canvas: Canvas, pixel: number, color: Color): number {
  const [fill, shade] = [colorValues[color], secondColor(color)];
  const [column, row] = [pixel % judgeSide, Math.floor(pixel / judgeSide)];
  let along = 0;
  let length = 0;
  fill.forEach((from, channel) => {
    const step = (shade[channel] ?? 0) - from;
    along += (at(canvas[channel as 0 | 1 | 2], column, row) - from) * step;
    length += step * step;
  });
  return Math.min(1.3, Math.max(-0.3, along / Math.max(1, length)));
}

function spreadOfMeans(groups: Map<number, number[]>): number {
  const means = [...groups.values()]
    .filter((values) => values.length >= 3)
    .map((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
  const centre = means.reduce((sum, value) => sum + value, 0) / Math.max(1, means.length);
  return Math.sqrt(means.reduce((sum, value) => sum + (value - centre) ** 2, 0) / Math.max(1, means.length));
}

/** Rows of stripes differ much more than columns; dots spread over both; a solid object has no second colour. */
function judgeTexture(canvas: Canvas, pixels: readonly number[], color: Color): Texture {
  const byRow = new Map<number, number[]>();
  const byColumn = new Map<number, number[]>();
  const shades = pixels.map((pixel) => {
    const shade = shadeOf(canvas, pixel, color);
    const [column, row] = [pixel % judgeSide, Math.floor(pixel / judgeSide)];
    byRow.set(row, [...(byRow.get(row) ?? []), shade]);
    byColumn.set(column, [...(byColumn.get(column) ?? []), shade]);
    return shade;
  });
  const centre = shades.reduce((sum, shade) => sum + shade, 0) / Math.max(1, shades.length);
  const spread = Math.sqrt(
    shades.reduce((sum, shade) => sum + (shade - centre) ** 2, 0) / Math.max(1, shades.length),
  );
  if (spread < 0.17) return 'solid';
  return spreadOfMeans(byRow) > 1.6 * spreadOfMeans(byColumn) ? 'striped' : 'dotted';
}
