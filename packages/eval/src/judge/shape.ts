import { shapes, type Shape } from '@emu/data';
import { judgeSide } from './canvas.js';
import { boxOf, coverage } from './outlines.js';
import type { Region } from './regions.js';

/** The shape that fits a region best; lengths in pixels. */
export interface ShapeFit {
  readonly shape: Shape;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  /** Shared area over joint area, 0..1. */
  readonly overlap: number;
}

interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function windowOf(region: Region): Window {
  const left = Math.max(0, region.left - 2);
  const top = Math.max(0, region.top - 2);
  return {
    left,
    top,
    width: Math.min(judgeSide - 1, region.right + 2) - left + 1,
    height: Math.min(judgeSide - 1, region.bottom + 2) - top + 1,
  };
}

function maskOf(region: Region, window: Window): Float32Array {
  const mask = new Float32Array(window.width * window.height);
  for (const pixel of region.pixels) {
    const [column, row] = [pixel % judgeSide, Math.floor(pixel / judgeSide)];
    mask[(row - window.top) * window.width + column - window.left] = 1;
  }
  return mask;
}

function overlapOf(mask: Float32Array, template: Float32Array): number {
  let shared = 0;
  let joint = 0;
  mask.forEach((value, index) => {
    const other = template[index] ?? 0;
    shared += Math.min(value, other);
    joint += Math.max(value, other);
  });
  return joint === 0 ? 0 : shared / joint;
}

/** A shape laid into a region's box, moved and scaled by small steps until it overlaps most. */
function fitShape(shape: Shape, region: Region, window: Window, mask: Float32Array): ShapeFit {
  const [left, top, right, bottom] = boxOf(shape);
  const width = region.right - region.left + 1;
  const height = region.bottom - region.top + 1;
  const base = (width / (right - left) + height / (bottom - top)) / 2;
  let best: ShapeFit = { shape, x: 0, y: 0, radius: base, overlap: -1 };
  // The region takes in pixels that are covered by less than half, so the shape is often a little smaller.
  for (const scale of [0.88, 0.94, 1]) {
    const radius = base * scale;
    const centreX = (region.left + region.right + 1) / 2 - (radius * (left + right)) / 2;
    const centreY = (region.top + region.bottom + 1) / 2 - (radius * (top + bottom)) / 2;
    for (const dy of [-0.5, 0, 0.5]) {
      const place = { x: centreX, y: centreY + dy, radius };
      const overlap = overlapOf(mask, coverage(shape, window, place));
      if (overlap > best.overlap) best = { shape, ...place, overlap };
    }
  }
  return best;
}

/** The shape of a region: the one whose outline overlaps it most. */
export function judgeShape(region: Region): ShapeFit {
  const window = windowOf(region);
  const mask = maskOf(region, window);
  const fits = shapes.map((shape) => fitShape(shape, region, window, mask));
  return fits.reduce((best, fit) => (fit.overlap > best.overlap ? fit : best));
}
