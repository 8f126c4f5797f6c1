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
  /** Of the call's seed; see `drawKey`. */
  readonly key: PhiloxKey;
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
  let [left, right] = [0, values.length - 1];
  while (left < right) {
    const [high, low] = partition(values, left, right);
    if (place <= high) right = high;
    else if (place >= low) left = low;
    else break;
  }
  return values[place] as number;
}

/** Drops the worst tokens as long as their probabilities sum to at most 1 - topP. Of equals, higher ids go first. */
function keepNucleus(weights: Float32Array, topP: number): void {
  const mayGo = (1 - topP) * sumOf(weights);
  // Tokens with less than this sum to at most half of what may go, however many: only the others need an order.
  const unlikely = mayGo / (2 * weights.length);
  const likely = orderScratch.take(weights.length);
  let likelyCount = 0;
  let gone = 0;
  for (let index = 0; index < weights.length; index++) {
    const weight = weights[index] as number;
    if (weight < unlikely) {
      gone += weight;
      weights[index] = 0;
    } else likely[likelyCount++] = weight;
  }
  const threshold = valueAtSum(likely.subarray(0, likelyCount), mayGo - gone);
  let equals = 0;
  for (let index = 0; index < weights.length; index++) {
    const weight = weights[index] as number;
    if (weight < threshold) {
      gone += weight;
      weights[index] = 0;
    } else if (weight === threshold) equals += 1;
  }
  for (let index = weights.length - 1; index >= 0 && equals > 1 && gone + threshold <= mayGo; index--) {
    if (weights[index] !== threshold) continue;
    weights[index] = 0;
    gone += threshold;
    equals -= 1;
  }
}

/**
 * The value at which the sum of all up to it, in rising order, exceeds `most`; the largest where none does. Puts
 * `values` into another order (Hoare's selection, 1961, with sums for counts). 0 where there are no values.
 */
function valueAtSum(values: Float32Array, most: number): number {
  let left = 0;
  let right = values.length - 1;
  let before = 0; // sum of what lies to the left
  while (left < right) {
    const [high, low] = partition(values, left, right);
    let sum = before;
    for (let index = left; index <= high; index++) sum += values[index] as number;
    if (sum > most) {
      right = high;
      continue;
    }
    const between = high + 1 < low ? (values[high + 1] as number) : 0;
    if (sum + between > most) return between;
    before = sum + between;
    left = low;
  }
  return values[left] ?? 0;
}

/**
 * Puts values[left..right] in order around one of them: up to the first index returned none is larger than it, from the
 * second on none is smaller, and what lies between equals it.
 */
function partition(values: Float32Array, left: number, right: number): [number, number] {
  const pivot = values[(left + right) >>> 1] as number;
  let [low, high] = [left, right];
  while (low <= high) {
    while ((values[low] as number) < pivot) low++;
    while ((values[high] as number) > pivot) high--;
    if (low > high) break;
    const value = values[low] as number;
    values[low] = values[high] as number;
    values[high] = value;
    low++;
    high--;
  }
  return [high, low];
}

// Sets draws of tokens apart from the noise of pictures, which has 0 there.
const tokenDraws = 1;

/** What draws of a seed have in common. */
export function drawKey(seed: bigint): PhiloxKey {
  return [Number(seed & 0xffffffffn), Number(seed >> 32n)];
}

/**
 * A uniform number in [0, 1) with 53 bits. It depends on (key, sequence, position) alone, so neither the batch nor the
 * order of work changes it: Philox4x32-10 with the counter (position, sequence, 0, 1) and the seed as the key.
 */
export function uniformAt({ key, sequence, position }: DrawPlace): number {
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
