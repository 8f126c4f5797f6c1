import { philoxBlock, type PhiloxKey } from '@emu/program';

import { expOfNonPositive, largestOf, sumOf } from './probabilities.js';
import { Scratch } from './scratch.js';

/** How a token is drawn. Filters work in this order: temperature, topK, topP. */
export interface SamplingOptions {
  /** Scores are divided by it; above 0. */
  readonly temperature: number;
  /** Only the `topK` best scores stay, ties with the last of them included; 0 keeps all. */
  readonly topK: number;
  /** Of what is left, the smallest set of best tokens whose probabilities sum to at least topP stays; 1 keeps all. */
  readonly topP: number;
}

export type SamplingFilters = Pick<SamplingOptions, 'topK' | 'topP'>;

const orderScratch = new Scratch((length) => new Float32Array(length));

/** Where a draw stands; the same place always draws the same number. */
export interface DrawPlace {
  readonly seed: bigint;
  /** Index of the sequence in its call: 0 unless several are made of one prompt. */
  readonly sequence: number;
  /** Index of the token in its sequence, from 0. */
  readonly position: number;
}

/** Below it the best token has all of the probability, and a quotient could be more than a number can hold. */
export const leastTemperature = 1e-6;

/** e^((score - largest) / temperature) of every token, f32[V] -> f32[V], in `weights`; NaN where no score is a number. */
export function weightsOf(
  scores: Float32Array,
  temperature: number,
  weights = new Float32Array(scores.length),
): Float32Array {
  const divisor = Math.max(temperature, leastTemperature);
  const largest = largestOf(scores);
  for (let index = 0; index < scores.length; index++) {
    weights[index] = expOfNonPositive(((scores[index] as number) - largest) / divisor);
  }
  return weights;
}

/**
 * Sets to 0 the weights of tokens that sampling leaves out. At least one token stays.
 * Source: transformers v4.29.2 TopKLogitsWarper, TopPLogitsWarper (Holtzman et al. 2020).
 */
export function keepLikely(weights: Float32Array, { topK, topP }: SamplingFilters): void {
  if (topK > 0 && topK < weights.length) keepBest(weights, topK);
  if (topP < 1) keepNucleus(weights, topP);
}

/** The probabilities that tokens are drawn with, f32[V] -> f32[V], summing to 1 up to rounding. */
export function samplingProbabilities(scores: Float32Array, options: SamplingOptions): Float32Array {
  const weights = weightsOf(scores, options.temperature);
  keepLikely(weights, options);
  const total = sumOf(weights);
  return weights.map((weight) => weight / total);
}

function keepBest(weights: Float32Array, count: number): void {
  const values = orderScratch.take(weights.length);
  values.set(weights);
  const threshold = nthSmallest(values, values.length - count);
  for (let index = 0; index < weights.length; index++) {
    if ((weights[index] as number) < threshold) weights[index] = 0;
  }
}

/** The value that stands at `place` when all are in rising order. Puts `values` into another order (Hoare 1961). */
function nthSmallest(values: Float32Array, place: number): number {
  const at = (index: number): number => values[index] as number;
  let [left, right] = [0, values.length - 1];
  while (left < right) {
    const pivot = at((left + right) >>> 1);
    let [low, high] = [left, right];
    while (low <= high) {
      while (at(low) < pivot) low++;
      while (at(high) > pivot) high--;
      if (low > high) break;
      [values[low], values[high]] = [at(high), at(low)];
      low++;
      high--;
    }
    if (place <= high) right = high;
    else if (place >= low) left = low;
    else break;
  }
  return at(place);
}

/** Drops the worst tokens as long as their probabilities sum to at most 1 - topP. Of equals, higher ids go first. */
function keepNucleus(weights: Float32Array, topP: number): void {
  const mayGo = (1 - topP) * sumOf(weights);
  // Tokens with less than this sum to at most half of what may go, however many: only the others need an order.
  const unlikely = mayGo / (2 * weights.length);
  const likely = orderScratch.take(weights.length);
  let likelyCount = 0;
  let sum = 0;
  for (let index = 0; index < weights.length; index++) {
    const weight = weights[index] as number;
    if (weight < unlikely) {
      sum += weight;
      weights[index] = 0;
    } else likely[likelyCount++] = weight;
  }
  const sorted = likely.subarray(0, likelyCount).sort();
  let dropped = 0;
  while (dropped < sorted.length - 1) {
    sum += sorted[dropped] as number;
    if (sum > mayGo) break;
    dropped += 1;
  }
  const threshold = sorted[dropped] ?? 0;
  let equalsToDrop = dropped - sorted.indexOf(threshold);
  for (let index = weights.length - 1; index >= 0; index--) {
    const weight = weights[index] as number;
    if (weight < threshold) weights[index] = 0;
    else if (weight === threshold && equalsToDrop > 0) {
      weights[index] = 0;
      equalsToDrop -= 1;
    }
  }
}

// Sets draws of tokens apart from the noise of pictures, which has 0 there.
const tokenDraws = 1;

/**
 * A uniform number in [0, 1) with 53 bits. It depends on (seed, sequence, position) alone, so neither the batch nor the
 * order of work changes it: Philox4x32-10 with the counter (position, sequence, 0, 1) and the seed as the key.
 */
export function uniformAt({ seed, sequence, position }: DrawPlace): number {
  const key: PhiloxKey = [Number(seed & 0xffffffffn), Number(seed >> 32n)];
  const [low, high] = philoxBlock([position, sequence, 0, tokenDraws], key);
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53;
}

/**
 * Draws a token: the first, in the order of ids, at which the sum of kept weights exceeds its share of their total; -1
 * where a weight is NaN or the total is not above `least`. Changes `weights` to the kept ones.
 */
export function drawToken(
  weights: Float32Array,
  filters: SamplingFilters,
  place: DrawPlace,
  least = 0,
): number {
  keepLikely(weights, filters);
  const total = sumOf(weights);
  if (!(total > least)) return -1;
  const target = uniformAt(place) * total;
  let sum = 0;
  let last = -1;
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id] as number;
    if (weight === 0) continue;
    sum += weight;
    last = id;
    if (sum > target) return id;
  }
  return last; // rounding left the sum just below the number drawn
}
