import { at, judgeSide, median, type Canvas } from './canvas.js';

/** Pixels that stand out together, and their box. */
export interface Region {
  /** Index of each pixel, row * 64 + column. */
  readonly pixels: readonly number[];
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The background colour of every row: the picture's usual colour, brighter or darker from top to bottom. */
export function backgroundRows(canvas: Canvas): readonly (readonly [number, number, number])[] {
  const border = [0, 1, judgeSide - 2, judgeSide - 1];
  const half = judgeSide / 2;
  const brightness = (row: number, column: number): number =>
    at(canvas[0], column, row) + at(canvas[1], column, row) + at(canvas[2], column, row);
  const ends = border.flatMap((column) =>
    Array.from({ length: half }, (_, row) => {
      const [upper, lower] = [brightness(row, column), brightness(row + half, column)];
      return (lower - upper) / Math.max(1, (lower + upper) / 2);
    }),
  );
  // The change over half the height; the median leaves out rows where something touches the border.
  const slope = median(ends) / half;
  const usual = canvas.map((plane) =>
    median(
      Array.from({ length: judgeSide }, (_, row) =>
        border.map((column) => at(plane, column, row) / (1 + slope * (row - (judgeSide - 1) / 2))),
      ).flat(),
    ),
  );
  const [red = 0, green = 0, blue = 0] = usual;
  return Array.from({ length: judgeSide }, (_, row) => {
    const factor = 1 + slope * (row - (judgeSide - 1) / 2);
    return [red * factor, green * factor, blue * factor];
  });
}

/** The background colour of each of the 64 rows, as red, green, blue. */
export type BackgroundRows = ReturnType<typeof backgroundRows>;

/** How far a pixel lies from the background of its row. */
function contrast(canvas: Canvas, rows: BackgroundRows, column: number, row: number): number {
  const [red, green, blue] = rows[row] ?? [0, 0, 0];
  return Math.hypot(
    at(canvas[0], column, row) - red,
    at(canvas[1], column, row) - green,
    at(canvas[2], column, row) - blue,
  );
}

/** Less than the second colour of any texture on any background, more than a decoder's noise. */
const contrastThreshold = 46;
/** The smallest object covers about 70 pixels. */
const leastPixels = 28;

/** Finds what stands out from the background, large regions first. */
export function findRegions(canvas: Canvas, rows: BackgroundRows): Region[] {
  const stands = new Uint8Array(judgeSide * judgeSide);
  for (let index = 0; index < stands.length; index++) {
    const isOut =
      contrast(canvas, rows, index % judgeSide, Math.floor(index / judgeSide)) > contrastThreshold;
    stands[index] = isOut ? 1 : 0;
  }
  const regions: Region[] = [];
  for (let start = 0; start < stands.length; start++) {
    if (stands[start] === 1) {
      const region = fill(stands, start);
      if (region.pixels.length >= leastPixels) regions.push(region);
    }
  }
  return regions.sort((a, b) => b.pixels.length - a.pixels.length);
}

/** Collects the pixels connected to one, edges and corners alike, and clears them. */
function fill(stands: Uint8Array, start: number): Region {
  const pixels: number[] = [start];
  stands[start] = 0;
  for (const pixel of pixels) {
    const [x, y] = [pixel % judgeSide, Math.floor(pixel / judgeSide)];
    for (let row = Math.max(0, y - 1); row <= Math.min(judgeSide - 1, y + 1); row++) {
      for (let column = Math.max(0, x - 1); column <= Math.min(judgeSide - 1, x + 1); column++) {
        const next = row * judgeSide + column;
        if (stands[next] !== 1) continue;
        stands[next] = 0;
        pixels.push(next);
      }
    }
  }
  const columns = pixels.map((pixel) => pixel % judgeSide);
  const rowsOf = pixels.map((pixel) => Math.floor(pixel / judgeSide));
  return {
    pixels,
    left: Math.min(...columns),
    top: Math.min(...rowsOf),
    right: Math.max(...columns),
    bottom: Math.max(...rowsOf),
  };
}
