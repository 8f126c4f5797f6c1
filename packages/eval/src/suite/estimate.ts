import type { Estimate } from './score.js';

/** Standard deviations of a normal distribution that hold 95 % of it. */
const z = 1.96;
const resamples = 400;

/** How often something was right, with Wilson's interval. Of nothing it is 0. */
export function proportion(outcomes: readonly boolean[]): Estimate {
  const count = outcomes.length;
  if (count === 0) return { value: 0, low: null, high: null, count };
  const value = outcomes.filter(Boolean).length / count;
  const weight = z ** 2 / count;
  const centre = (value + weight / 2) / (1 + weight);
  const reach = (z / (1 + weight)) * Math.sqrt((value * (1 - value)) / count + weight / (4 * count));
  return { value, low: Math.max(0, centre - reach), high: Math.min(1, centre + reach), count };
}

/** The proportion in each group, in the order in which the groups came first. */
export function proportions(
  outcomes: readonly { readonly group: string; readonly isRight: boolean }[],
): Readonly<Record<string, Estimate>> {
  const groups = [...new Set(outcomes.map(({ group }) => group))].sort();
  return Object.fromEntries(
    groups.map((name) => [
      name,
      proportion(outcomes.filter(({ group }) => group === name).map(({ isRight }) => isRight)),
    ]),
  );
}

/** Whole numbers below `below`, the same for the same seed (a multiplicative hash of a counter). */
export function seededIndices(seed: number): (below: number) => number {
  let counter = seed >>> 0;
  return (below) => {
    counter = (counter + 0x9e3779b9) >>> 0;
    let x = Math.imul(counter ^ (counter >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return Math.floor((((x ^ (x >>> 16)) >>> 0) / 2 ** 32) * below);
  };
}

/**
 * A statistic of samples, with an interval from its spread over draws with replacement. `draws` is how many are made;
 * the interval lies around the value, because the mean over draws is biased for distances.
 */
export function bootstrap<T>(
  samples: readonly T[],
  statistic: (drawn: readonly T[]) => number,
  draws = resamples,
): Estimate {
  const count = samples.length;
  const value = statistic(samples);
  if (count < 3 || draws < 2) return { value, low: null, high: null, count };
  const index = seededIndices(count);
  const values = Array.from({ length: draws }, () =>
    statistic(samples.map((sample) => samples[index(count)] ?? sample)),
  );
  const centre = values.reduce((sum, each) => sum + each, 0) / draws;
  const spread = Math.sqrt(values.reduce((sum, each) => sum + (each - centre) ** 2, 0) / (draws - 1));
  return { value, low: Math.max(0, value - z * spread), high: value + z * spread, count };
}
