import type { Shape } from './attributes.js';

/** Corners of a star with five points, alternating outer and inner, as u, v. */
const starCorners: readonly (readonly [number, number])[] = Array.from({ length: 10 }, (_, at) => {
  const radius = at % 2 === 0 ? 1.08 : 0.46;
  const angle = (at * Math.PI) / 5 - Math.PI / 2;
  return [radius * Math.cos(angle), radius * Math.sin(angle)] as const;
});

/** Even-odd rule. */
function insidePolygon(corners: readonly (readonly [number, number])[], u: number, v: number): boolean {
  let inside = false;
  let previous = corners.at(-1);
  for (const corner of corners) {
    if (previous !== undefined) {
      const [x0, y0] = previous;
      const [x1, y1] = corner;
      if (y1 > v !== y0 > v && u < ((x0 - x1) * (v - y1)) / (y0 - y1) + x1) inside = !inside;
    }
    previous = corner;
  }
  return inside;
}

/**
 * Whether a point lies in a shape of radius 1 around the origin; u grows to the right, v grows down. Every shape
 * lies within -1.1..1.1 on both axes.
 */
export const insideShape: Readonly<Record<Shape, (u: number, v: number) => boolean>> = {
  circle: (u, v) => u * u + v * v <= 1,
  square: (u, v) => Math.abs(u) <= 0.88 && Math.abs(v) <= 0.88,
  triangle: (u, v) => v <= 0.82 && v >= -1 && Math.abs(u) <= ((v + 1) / 1.82) * 1.02,
  star: (u, v) => insidePolygon(starCorners, u, v),
  cross: (u, v) => (Math.abs(u) <= 0.31 && Math.abs(v) <= 1) || (Math.abs(v) <= 0.31 && Math.abs(u) <= 1),
  ring: (u, v) => {
    const square = u * u + v * v;
    return square <= 1 && square >= 0.27;
  },
  diamond: (u, v) => Math.abs(u) / 0.76 + Math.abs(v) / 1.08 <= 1,
  heart: (u, v) => {
    const x = 1.15 * u;
    const y = 0.14 - 1.15 * v;
    const bulge = x * x + y * y - 1;
    return bulge * bulge * bulge - x * x * y * y * y <= 0;
  },
};
