import { philoxBlock, type PhiloxKey } from '@emu/program';

import { expOfNonPositive, largestOf, logSumExp, weigh } from './probabilities.js';
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

/** Where a draw stands; the same place always draws the same number. */
export interface DrawPlace {
  readonly seed: bigint;
  /** Index of the sequence in its call: 0 unless several are made of one prompt. */
  readonly sequence: number;
  /** Index of the token in its sequence, from 0. */
  readonly position: number;
}

/** Below it the best token has all of the probability, and a quotient could be more than a number can hold. */
const leastTemperature = 1e-6;

/**
 * The scores that sampling keeps; all others become -Infinity. f32[V] -> f32[V], in `kept`. At least one token stays.
 * Source: transformers v4.29.2 TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper (Holtzman et al. 2020).
 */
export function filterScores(
  scores: Float32Array,
  { temperature, topK, topP }: SamplingOptions,
  kept = new Float32Array(scores.length),
): Float32Array {
  const divisor = Math.max(temperature, leastTemperature);
  for (let index = 0; index < scores.length; index++) {
    kept[index] = (scores[index] ?? -Infinity) / divisor;
  }
  if (topK > 0 && topK < kept.length) keepBest(kept, topK);
  if (topP < 1) keepNucleus(kept, topP);
  return kept;
}

function keepBest(scores: Float32Array, count: number): void {
  const threshold = nthSmallest(scores.slice(), scores.length - count);
  for (let index = 0; index < scores.length; index++) {
    if ((scores[index] ?? -Infinity) < threshold) scores[index] = -Infinity;
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
function keepNucleus(scores: Float32Array, topP: number): void {
  const normalizer = logSumExp(scores);
  // Tokens less likely than this sum to at most half of what may go, however many: only the others need an order.
  const unlikely = normalizer + Math.log((1 - topP) / (2 * scores.length));
  const likely = new Float32Array(scores.length);
  let likelyCount = 0;
  let sum = 0;
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] as number;
    if (score < unlikely) {
      sum += expOfNonPositive(score - normalizer);
      scores[index] = -Infinity;
    } else likely[likelyCount++] = score;
  }
  const sorted = likely.subarray(0, likelyCount).sort();
  let dropped = 0;
  while (dropped < sorted.length - 1) {
    sum += expOfNonPositive((sorted[dropped] as number) - normalizer);
    if (sum > 1 - topP) break;
    dropped += 1;
  }
  const threshold = sorted[dropped] ?? -Infinity;
  let equalsToDrop = dropped - sorted.indexOf(threshold);
  for (let index = scores.length - 1; index >= 0; index--) {
    const score = scores[index] as number;
    if (score < threshold) scores[index] = -Infinity;
    else if (score === threshold && equalsToDrop > 0) {
      scores[index] = -Infinity;
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

const keptScratch = new Scratch((length) => new Float32Array(length));
const weightScratch = new Scratch((length) => new Float64Array(length));

/**
 * Draws a token: the first, in the order of ids, at which the sum of kept probabilities exceeds the uniform number; -1
 * where a score is NaN or none is kept.
 */
export function drawToken(scores: Float32Array, options: SamplingOptions, place: DrawPlace): number {
  const { temperature, topK, topP } = options;
  const keepsAll = temperature === 1 && topK === 0 && topP === 1;
  const kept = keepsAll ? scores : filterScores(scores, options, keptScratch.take(scores.length));
  const weights = weightScratch.take(kept.length);
  const total = weigh(kept, largestOf(kept), weights);
  if (!(total > 0)) return -1;
  const target = uniformAt(place) * total;
  let sum = 0;
  let last = -1;
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id] ?? 0;
    if (weight === 0) continue;
    sum += weight;
    last = id;
    if (sum > target) return id;
  }
  return last; // rounding left the sum just below the number drawn
}
