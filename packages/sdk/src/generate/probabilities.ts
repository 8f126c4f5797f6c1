import { Scratch } from './scratch.js';

/** Natural log of softmax, f32[V] -> f32[V]; sums in double precision. -Infinity stays. */
export function logSoftmax(scores: Float32Array): Float32Array {
  const normalizer = logSumExp(scores);
  const result = new Float32Array(scores.length);
  for (let index = 0; index < scores.length; index++) {
    result[index] = (scores[index] ?? -Infinity) - normalizer;
  }
  return result;
}

/** f32[V] -> f64[V], summing to 1 up to rounding. */
export function softmax(scores: Float32Array): Float64Array {
  const probabilities = new Float64Array(scores.length);
  const total = weigh(scores, largestOf(scores), probabilities);
  for (let index = 0; index < probabilities.length; index++) {
    probabilities[index] = (probabilities[index] as number) / total;
  }
  return probabilities;
}

const weightScratch = new Scratch((length) => new Float64Array(length));

/** log(sum(exp(scores))) in double precision; -Infinity where no score is above it. */
export function logSumExp(scores: Float32Array): number {
  const largest = largestOf(scores);
  if (largest === -Infinity) return -Infinity;
  return largest + Math.log(weigh(scores, largest, weightScratch.take(scores.length)));
}

/** weights[i] = e^(scores[i] - largest), where no score is above `largest`; returns their sum. */
function weigh(scores: Float32Array, largest: number, weights: Float64Array): number {
  const [halvings, fractions] = [powersOfHalf, fractionsOfTwo];
  let sum = 0;
  for (let index = 0; index < scores.length; index++) {
    const weight = power((scores[index] as number) - largest, halvings, fractions);
    weights[index] = weight;
    sum += weight;
  }
  return sum;
}

/** e^x for x <= 0, to 13 digits; NaN for NaN. */
export function expOfNonPositive(x: number): number {
  return power(x, powersOfHalf, fractionsOfTwo);
}

const powersOfHalf = Float64Array.from({ length: 1076 }, (_, index) => 2 ** -index);
const fractionsOfTwo = Float64Array.from({ length: 32 }, (_, index) => 2 ** (index / 32));

/**
 * e^x for x <= 0 as 2^(n / 32) e^r with |r| <= log(2) / 64, where a polynomial of degree 5 is exact to 2e-15. It takes
 * half the time of Math.exp, which a choice among 32 000 tokens would call 32 000 times; hence numbers instead of names
 * for them and tables that are passed, for in a bundle such names are variables that are read each time.
 */
function power(x: number, halvings: Float64Array, fractions: Float64Array): number {
  if (!(x >= -745)) return Number.isNaN(x) ? NaN : 0; // what is less is 0 in double precision
  const n = (x * 46.16624130844683 - 0.5) | 0; // x / (log(2) / 32), rounded
  const r = x - n * 0.021660849452018738 + n * 5.952044759838238e-11; // log(2) / 32: its first 24 bits, the rest
  const square = r * r;
  const high = 0.041666666666666664 + r * 0.008333333333333333;
  const near = 1 + (r + square * (0.5 + r * 0.16666666666666666 + square * high));
  return near * (fractions[n & 31] as number) * (halvings[-(n >> 5)] as number);
}

/** Σ values, in double precision. */
export function sumOf(values: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index] as number;
  return sum;
}

/** The largest score; -Infinity where there is none. NaN is none. */
export function largestOf(scores: Float32Array): number {
  let largest = -Infinity;
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? -Infinity;
    if (score > largest) largest = score;
  }
  return largest;
}

/** Index of the largest score, the first of equals; -1 for an empty array. NaN never wins. */
export function indexOfLargest(scores: ArrayLike<number>): number {
  let best = -1;
  let largest = -Infinity;
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? -Infinity;
    if (score > largest || best < 0) {
      if (Number.isNaN(score)) continue;
      largest = score;
      best = index;
    }
  }
  return best;
}

/** Indices of the `count` largest scores, falling; of equals the lower index first. */
export function indicesOfLargest(scores: ArrayLike<number>, count: number): readonly number[] {
  const best: number[] = [];
  let worst = -Infinity;
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? -Infinity;
    if (best.length === count && !(score > worst)) continue;
    let place = best.length;
    while (place > 0 && score > (scores[best[place - 1] ?? 0] ?? -Infinity)) place--;
    best.splice(place, 0, index);
    if (best.length > count) best.pop();
    worst = scores[best[best.length - 1] ?? 0] ?? -Infinity;
  }
  return best;
}
