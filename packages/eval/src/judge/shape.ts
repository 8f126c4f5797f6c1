import { colorValues, shapes, type Color, type Rgb, type Shape, type Texture } from '@emu/data';
import { at, judgeSide, type Canvas } from './canvas.js';
import { secondColor } from './color.js';
import { boxOf, coverage } from './outlines.js';
import type { BackgroundRows, Region } from './regions.js';

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

/**
 * How much of each pixel of a window the object covers, 0..1: how far the pixel has gone from the background towards
 * the object's fill or towards its second colour, whichever is further. Blurred edges keep their place this way.
 */
function softMask(look: RegionLook, window: Window): Float32Array {
  const { canvas, rows, color, texture, region } = look;
  const near = neighbourhood(region);
  // On a solid object the second colour would only draw in what lies between fill and background.
  const targets = texture === 'solid' ? [colorValues[color]] : [colorValues[color], secondColor(color)];
  return Float32Array.from({ length: window.width * window.height }, (_, index) => {
    const column = window.left + (index % window.width);
    const row = window.top + Math.floor(index / window.width);
    if (!near.has(row * judgeSide + column)) return 0;
    const ground = rows[row] ?? [0, 0, 0];
    return Math.max(...targets.map((target) => progress(canvas, column, row, ground, target)));
  });
}

/** The pixels of a region and those beside them: a neighbouring object stays out. */
function neighbourhood(region: Region): ReadonlySet<number> {
  const beside = [
    -judgeSide - 1,
    -judgeSide,
    -judgeSide + 1,
    -1,
    0,
    1,
    judgeSide - 1,
    judgeSide,
    judgeSide + 1,
  ];
  return new Set(region.pixels.flatMap((pixel) => beside.map((step) => pixel + step)));
}

function progress(canvas: Canvas, column: number, row: number, from: Rgb, to: Rgb): number {
  let along = 0;
  let length = 0;
  from.forEach((start, channel) => {
    const step = (to[channel] ?? 0) - start;
    along += (at(canvas[channel as 0 | 1 | 2], column, row) - start) * step;
    length += step * step;
  });
  return Math.min(1, Math.max(0, along / Math.max(1, length)));
}

/** The average of each pixel and its neighbours with weights 1 2 1 on both axes: sharp and soft edges compare alike. */
function softened(values: Float32Array, { width, height }: Window): Float32Array {
  const pass = (
    from: Float32Array,
    step: number,
    position: (index: number) => number,
    last: number,
  ): Float32Array =>
    from.map((value, index) => {
      const before = position(index) > 0 ? (from[index - step] ?? 0) : 0;
      const after = position(index) < last ? (from[index + step] ?? 0) : 0;
      return (before + 2 * value + after) / 4;
    });
  const across = pass(values, 1, (index) => index % width, width - 1);
  return pass(across, width, (index) => Math.floor(index / width), height - 1);
}

/** The box of what is covered by half or more, right and bottom exclusive. */
function halfBox(mask: Float32Array, window: Window): readonly [number, number, number, number] {
  let [left, top, right, bottom] = [judgeSide, judgeSide, 0, 0];
  mask.forEach((value, index) => {
    if (value < 0.5) return;
    const column = window.left + (index % window.width);
    const row = window.top + Math.floor(index / window.width);
    [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
  });
  return right > left
    ? [left, top, right, bottom]
    : [window.left, window.top, window.left + 1, window.top + 1];
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

/** What the search compares with: the softened mask in its window, and the box of the object. */
interface Target {
  readonly window: Window;
  readonly mask: Float32Array;
  readonly box: readonly [number, number, number, number];
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** The best of some places of a shape. */
function bestPlace(shape: Shape, { window, mask }: Target, places: readonly Place[]): ShapeFit {
  const fits = places.map((place) => ({
    shape,
    ...place,
    overlap: overlapOf(mask, softened(coverage(shape, window, place), window)),
  }));
  return fits.reduce((best, fit) => (fit.overlap > best.overlap ? fit : best));
}

/** A shape laid into the object's box, in a few sizes. */
function coarseFit(shape: Shape, target: Target): ShapeFit {
  const [left, top, right, bottom] = boxOf(shape);
  const [boxLeft, boxTop, boxRight, boxBottom] = target.box;
  const base = ((boxRight - boxLeft) / (right - left) + (boxBottom - boxTop) / (bottom - top)) / 2;
  const places = [0.92, 1, 1.08].map((scale): Place => {
    const radius = base * scale;
    return {
      radius,
      x: (boxLeft + boxRight) / 2 - (radius * (left + right)) / 2,
      y: (boxTop + boxBottom) / 2 - (radius * (top + bottom)) / 2,
    };
  });
  return bestPlace(shape, target, places);
}

/** Small moves and changes of size around a first fit. */
function fineFit({ shape, x, y, radius }: ShapeFit, target: Target): ShapeFit {
  const places = [0.95, 1, 1.05].flatMap((scale) =>
    [-0.6, 0, 0.6].flatMap((dy) =>
      [-0.6, 0, 0.6].map((dx) => ({ x: x + dx, y: y + dy, radius: radius * scale })),
    ),
  );
  return bestPlace(shape, target, places);
}

/** A region and what is known of its picture by now. */
export interface RegionLook {
  readonly canvas: Canvas;
  readonly rows: BackgroundRows;
  readonly color: Color;
  readonly texture: Texture;
  readonly region: Region;
}

/** How many of the coarse fits are tried finely. */
const finalists = 4;

/** The shape of a region: the one whose outline overlaps it most. */
export function judgeShape(look: RegionLook): ShapeFit {
  const window = windowOf(look.region);
  const mask = softMask(look, window);
  const target: Target = { window, mask: softened(mask, window), box: halfBox(mask, window) };
  const coarse = shapes.map((shape) => coarseFit(shape, target)).sort((a, b) => b.overlap - a.overlap);
  const fine = coarse.slice(0, finalists).map((fit) => fineFit(fit, target));
  return fine.reduce((best, fit) => (fit.overlap > best.overlap ? fit : best));
}
