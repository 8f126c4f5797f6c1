import { toFloat32, type Tensor } from '@emu/program';

import type { GoldenEntry } from './goldens.js';

/** How one tensor of ours lies to the golden one. */
export interface Comparison {
  readonly file: string;
  readonly name: string;
  readonly ok: boolean;
  /** ||a-b|| / ||b||; null for integers and where there is nothing to compare with. */
  readonly relativeL2: number | null;
  /** max|a-b| / max|b|. */
  readonly relativeMax: number | null;
  /** What `relativeL2` may be at most. */
  readonly bound: number | null;
  /** What else there is to say: how many integers differ, that there is no golden. */
  readonly note: string;
}

/** The norm of the difference over the golden's norm that f32 weights must keep. */
export const singlePrecisionBound = 1e-4;
/** The same for bf16 weights; what the authors' model in bf16 deviates by is about 7e-3. */
export const halfPrecisionBound = 2e-2;

export interface Tolerance {
  readonly relativeL2?: number;
  /** Integers may differ by this much: 1 for 8-bit pictures. */
  readonly integer?: number;
}

/** Compares a tensor of ours with the golden one. */
export function compareTensor(
  file: string,
  name: string,
  ours: Tensor,
  golden: Tensor | undefined,
  entry: GoldenEntry | undefined,
  tolerance: Tolerance,
): Comparison {
  const place = { file, name };
  if (golden === undefined) {
    return {
      ...place,
      ok: true,
      relativeL2: null,
      relativeMax: null,
      bound: null,
      note: 'no golden to compare with',
    };
  }
  if (ours.shape.join() !== golden.shape.join()) {
    const note = `shape [${ours.shape.join(',')}], golden [${golden.shape.join(',')}]`;
    return { ...place, ok: false, relativeL2: null, relativeMax: null, bound: null, note };
  }
  if (golden.dtype !== 'f32' && golden.dtype !== 'f64')
    return compareIntegers(place, ours, golden, tolerance);
  return compareFloats(place, ours, golden, entry, tolerance);
}

function compareIntegers(
  place: { file: string; name: string },
  ours: Tensor,
  golden: Tensor,
  tolerance: Tolerance,
): Comparison {
  let differing = 0;
  let largest = 0;
  for (let i = 0; i < golden.data.length; i++) {
    const difference = Math.abs(Number(ours.data[i]) - Number(golden.data[i]));
    if (difference > 0) differing++;
    if (!(difference <= largest)) largest = difference;
  }
  const ok = largest <= (tolerance.integer ?? 0);
  const note =
    differing === 0 ? 'equal' : `${differing} of ${golden.data.length} differ, by at most ${largest}`;
  return { ...place, ok, relativeL2: null, relativeMax: null, bound: tolerance.integer ?? 0, note };
}

function compareFloats(
  place: { file: string; name: string },
  ours: Tensor,
  golden: Tensor,
  entry: GoldenEntry | undefined,
  tolerance: Tolerance,
): Comparison {
  const a = toFloat32(ours);
  const b = toFloat32(golden);
  let difference = 0;
  let norm = 0;
  let largest = 0;
  let scale = 0;
  for (let i = 0; i < b.length; i++) {
    const delta = Math.abs((a[i] as number) - (b[i] as number));
    difference += delta * delta;
    norm += (b[i] as number) ** 2;
    if (!(delta <= largest)) largest = delta;
    scale = Math.max(scale, Math.abs(b[i] as number));
  }
  const relativeL2 = norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
  const relativeMax = scale === 0 ? largest : largest / scale;
  // The reference's own rounding is no error of ours.
  const bound = Math.max(tolerance.relativeL2 ?? singlePrecisionBound, 8 * (entry?.noise ?? 0));
  return { ...place, ok: relativeL2 <= bound, relativeL2, relativeMax, bound, note: '' };
}
