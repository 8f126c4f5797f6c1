import { EmuError } from '@emu/program';

import type { Pixels } from './pixels.js';
import { maxSide, rgbPixels } from './pixels.js';

/*
 * Pillow's resize, bit for bit (libImaging/Resample.c): weights in f64, normalised, rounded to 22 fractional
 * bits; first all rows are resampled to the new width, then the columns, with 8-bit values in between. When
 * shrinking the filter is stretched over the source pixels, which other libraries' "bicubic" does not do.
 */

export type ResizeFilter = 'bicubic' | 'bilinear';

const channels = 3;
const fractionBits = 22;
const half = 1 << (fractionBits - 1);

/** Multiplications between two chances for the event loop: a few milliseconds. */
const sliceWork = 1_000_000;

/** The intermediate picture has the old height and the new width. */
const maxIntermediateBytes = 2 ** 30;

interface Kernel {
  /** Half width in source pixels at scale 1. */
  readonly support: number;
  readonly weight: (x: number) => number;
}

/** Keys' cubic convolution with a = -0.5. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

const kernels: Readonly<Record<ResizeFilter, Kernel>> = {
  bicubic: { support: 2, weight: cubic },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
};

/** For every output position: the first source position, how many, and their fixed-point weights. */
interface Coefficients {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  /** Weights reserved per output position. */
  readonly stride: number;
}

function coefficients(from: number, to: number, kernel: Kernel): Coefficients {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = kernel.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Int32Array(to * stride);
  for (let position = 0; position < to; position++) {
    const center = (position + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const exact = Array.from({ length: end - start }, (_, i) =>
      kernel.weight((i + start - center + 0.5) * (1 / stretch)),
    );
    const sum = exact.reduce((total, weight) => total + weight, 0);
    exact.forEach((weight, i) => {
      const fixed = (sum === 0 ? weight : weight / sum) * 2 ** fractionBits;
      weights[position * stride + i] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    });
    first[position] = start;
    count[position] = end - start;
  }
  return { first, count, weights, stride };
}

function clip(sum: number): number {
  const value = sum >> fractionBits;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** One output row of the horizontal pass. */
function resampleRow(
  source: Uint8Array,
  row: number,
  table: Coefficients,
  out: Uint8Array,
  outRow: number,
): void {
  const { first, count, weights, stride } = table;
  let to = outRow;
  for (let x = 0; x < first.length; x++) {
    let from = row + (first[x] as number) * channels;
    const start = x * stride;
    const end = start + (count[x] as number);
    let red = half;
    let green = half;
    let blue = half;
    for (let k = start; k < end; k++, from += channels) {
      const weight = weights[k] as number;
      red += (source[from] as number) * weight;
      green += (source[from + 1] as number) * weight;
      blue += (source[from + 2] as number) * weight;
    }
    out[to] = clip(red);
    out[to + 1] = clip(green);
    out[to + 2] = clip(blue);
    to += channels;
  }
}

/** One output row of the vertical pass. */
function blendRows(
  source: Uint8Array,
  rowLength: number,
  table: Coefficients,
  y: number,
  out: Uint8Array,
): void {
  const start = (table.first[y] as number) * rowLength;
  const count = table.count[y] as number;
  const weights = table.weights.subarray(y * table.stride, y * table.stride + count);
  for (let i = 0; i < rowLength; i++) {
    let sum = half;
    for (let k = 0, from = start + i; k < count; k++, from += rowLength) {
      sum += (source[from] as number) * (weights[k] as number);
    }
    out[y * rowLength + i] = clip(sum);
  }
}

/** Does the work and stops now and then; the caller decides what happens in between. */
function* resizeSteps(
  pixels: Pixels,
  width: number,
  height: number,
  kernel: Kernel,
): Generator<void, Pixels> {
  const vertical = coefficients(pixels.height, height, kernel);
  let rows = pixels.data;
  let firstRow = 0;
  let work = 0;
  if (width !== pixels.width) {
    const horizontal = coefficients(pixels.width, width, kernel);
    // Only rows that the second pass reads.
    firstRow = height === pixels.height ? 0 : (vertical.first[0] as number);
    const lastRow =
      height === pixels.height
        ? pixels.height
        : (vertical.first[height - 1] as number) + (vertical.count[height - 1] as number);
    rows = new Uint8Array((lastRow - firstRow) * width * channels);
    for (let y = firstRow; y < lastRow; y++) {
      const outRow = (y - firstRow) * width * channels;
      resampleRow(pixels.data, y * pixels.width * channels, horizontal, rows, outRow);
      work += horizontal.stride * width * channels;
      if (work > sliceWork) {
        work = 0;
        yield;
      }
    }
  }
  if (height === pixels.height) {
    // Not slice(): that of a Node Buffer shares its memory.
    return { width, height, data: rows === pixels.data ? new Uint8Array(rows) : rows };
  }
  vertical.first.forEach((row, y) => (vertical.first[y] = row - firstRow));
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    blendRows(rows, width * channels, vertical, y, out);
    work += vertical.stride * width * channels;
    if (work > sliceWork) {
      work = 0;
      yield;
    }
  }
  return { width, height, data: out };
}

function checkedSteps(
  pixels: Pixels,
  width: number,
  height: number,
  filter: ResizeFilter,
): Generator<void, Pixels> {
  rgbPixels(pixels.width, pixels.height, pixels.data);
  for (const [name, side] of Object.entries({ width, height })) {
    if (!Number.isInteger(side) || side < 1 || side > maxSide) {
      throw new EmuError(
        'INVALID_OPTION',
        `[resize] ${name} must be an integer in 1..${maxSide}, got ${side}`,
        {
          details: { [name]: side },
        },
      );
    }
  }
  const kernel = Object.hasOwn(kernels, filter) ? kernels[filter] : undefined;
  if (!kernel) {
    throw new EmuError(
      'INVALID_OPTION',
      `[resize] filter ${JSON.stringify(filter)} is none of bicubic, bilinear`,
      {
        details: { filter },
      },
    );
  }
  const bytes = Math.max(pixels.height, height) * width * channels;
  if (bytes > maxIntermediateBytes) {
    throw new EmuError(
      'IMAGE_TOO_LARGE',
      `[resize] ${pixels.width}x${pixels.height} to ${width}x${height} needs ${bytes} bytes, at most ` +
        `${maxIntermediateBytes} are used`,
      { details: { bytes, maximum: maxIntermediateBytes } },
    );
  }
  return resizeSteps(pixels, width, height, kernel);
}

/**
 * Resizes to exactly width x height, equal to Pillow's `Image.resize` on RGB bit for bit.
 * [H,W,3] u8 -> [height,width,3] u8, always a new array.
 * @throws EmuError INVALID_OPTION for a size or filter, INVALID_IMAGE, IMAGE_TOO_LARGE.
 */
export function resize(
  pixels: Pixels,
  width: number,
  height: number,
  filter: ResizeFilter = 'bicubic',
): Pixels {
  const steps = checkedSteps(pixels, width, height, filter);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Lets waiting events run. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}

/**
 * The same for large pictures: works a few milliseconds at a time, so the event loop stays free.
 * @throws as `resize`, or `signal.reason`.
 */
export async function resizeInSlices(
  pixels: Pixels,
  width: number,
  height: number,
  options: { readonly filter?: ResizeFilter; readonly signal?: AbortSignal | undefined } = {},
): Promise<Pixels> {
  options.signal?.throwIfAborted();
  const steps = checkedSteps(pixels, width, height, options.filter ?? 'bicubic');
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await eventLoopTurn();
    options.signal?.throwIfAborted();
  }
}
