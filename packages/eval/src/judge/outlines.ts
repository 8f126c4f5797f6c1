import type { Shape } from '@emu/data';

/**
 * The judge's own idea of the shapes, written apart from what draws them, so that a mistake there would be seen here.
 * Polygons of radius about 1 around the origin, y downwards; a point inside an odd number of them is inside.
 */
type Polygon = readonly (readonly [number, number])[];

function regular(corners: number, radius: number): Polygon {
  return Array.from({ length: corners }, (_, at) => {
    const angle = (2 * Math.PI * at) / corners;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

function pointed(outer: number, inner: number): Polygon {
  return Array.from({ length: 10 }, (_, at) => {
    const radius = at % 2 === 0 ? outer : inner;
    const angle = (Math.PI * at) / 5;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

/** The heart curve (x² + y² - 1)³ = x²y³, walked round its centre; along each ray it is found by halving. */
function heartOutline(): Polygon {
  return Array.from({ length: 64 }, (_, at) => {
    const angle = (2 * Math.PI * (at + 0.5)) / 64;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    let [inside, outside] = [0, 1.6];
    for (let step = 0; step < 30; step++) {
      const middle = (inside + outside) / 2;
      const isInside = (middle ** 2 - 1) ** 3 <= middle ** 5 * x * x * y ** 3;
      if (isInside) inside = middle;
      else outside = middle;
    }
    return [(inside * x) / 1.15, (0.14 - inside * y) / 1.15];
  });
}

const arm = 0.31;

export const outlines: Readonly<Record<Shape, readonly Polygon[]>> = {
  circle: [regular(40, 1)],
  square: [
    [
      [-0.88, -0.88],
      [0.88, -0.88],
      [0.88, 0.88],
      [-0.88, 0.88],
    ],
  ],
  triangle: [
    [
      [0, -1],
      [1.02, 0.82],
      [-1.02, 0.82],
    ],
  ],
  star: [pointed(1.08, 0.46)],
  cross: [
    [
      [-arm, -1],
      [arm, -1],
      [arm, -arm],
      [1, -arm],
      [1, arm],
      [arm, arm],
      [arm, 1],
      [-arm, 1],
      [-arm, arm],
      [-1, arm],
      [-1, -arm],
      [-arm, -arm],
    ],
  ],
  ring: [regular(40, 1), regular(40, 0.52)],
  diamond: [
    [
      [0, -1.08],
      [0.76, 0],
      [0, 1.08],
      [-0.76, 0],
    ],
  ],
  heart: [heartOutline()],
};

/** The box around each outline: left, top, right, bottom. */
export function boxOf(shape: Shape): readonly [number, number, number, number] {
  const points = outlines[shape].flat();
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** Where the horizontal line at v crosses an outline, in ascending order; between odd and even crossings is inside. */
function crossings(shape: Shape, v: number): number[] {
  const found: number[] = [];
  for (const polygon of outlines[shape]) {
    let previous = polygon.at(-1);
    for (const corner of polygon) {
      if (previous !== undefined && corner[1] > v !== previous[1] > v) {
        const share = (v - previous[1]) / (corner[1] - previous[1]);
        found.push(previous[0] + share * (corner[0] - previous[0]));
      }
      previous = corner;
    }
  }
  return found.sort((a, b) => a - b);
}

/** Lines per pixel row over which coverage is averaged. */
const linesPerRow = 4;

/**
 * How much of each pixel of a window an outline covers, 0..1.
 * @param window left and top in pixels, width and height of the window.
 * @param place centre and radius in pixels.
 */
export function coverage(
  shape: Shape,
  window: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
  place: { readonly x: number; readonly y: number; readonly radius: number },
): Float32Array {
  const out = new Float32Array(window.width * window.height);
  for (let line = 0; line < window.height * linesPerRow; line++) {
    const row = Math.floor(line / linesPerRow);
    const y = window.top + (line + 0.5) / linesPerRow;
    const cuts = crossings(shape, (y - place.y) / place.radius).map(
      (u) => place.x + u * place.radius - window.left,
    );
    for (let at = 0; at + 1 < cuts.length; at += 2) {
      addSpan(out, row * window.width, window.width, cuts[at] ?? 0, cuts[at + 1] ?? 0);
    }
  }
  return out;
}

/** Adds the part of each pixel of one row between two x. */
function addSpan(out: Float32Array, start: number, width: number, from: number, to: number): void {
  const first = Math.max(0, Math.floor(from));
  const last = Math.min(width - 1, Math.floor(to));
  for (let column = first; column <= last; column++) {
    const part = Math.min(to, column + 1) - Math.max(from, column);
    out[start + column] = (out[start + column] ?? 0) + Math.max(0, part) / linesPerRow;
  }
}
