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
  const normalizer = logSumExp(scores);
  // Float64Array.from with a function takes twenty times as long, once per token of every stream.
  const probabilities = new Float64Array(scores.length);
  for (let index = 0; index < scores.length; index++) {
    probabilities[index] = Math.exp((scores[index] ?? -Infinity) - normalizer);
  }
  return probabilities;
}

/** log(sum(exp(scores))) in double precision; -Infinity where no score is above it. */
export function logSumExp(scores: Float32Array): number {
  let largest = -Infinity;
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? -Infinity;
    if (score > largest) largest = score;
  }
  if (largest === -Infinity) return -Infinity;
  let sum = 0;
  for (let index = 0; index < scores.length; index++) {
    sum += Math.exp((scores[index] ?? -Infinity) - largest);
  }
  return largest + Math.log(sum);
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
