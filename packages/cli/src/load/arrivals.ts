import { philoxBlock } from '@emu/program';

/** A number in [0, 1) that depends on its place alone, so that two runs of a load are the same load. */
export function uniform(seed: number, index: number, purpose: number): number {
  const [word] = philoxBlock([index, purpose, 0, 0], [seed, 0]);
  return (word >>> 0) / 2 ** 32;
}

/**
 * When requests are due, in milliseconds from the start: a Poisson process, whose gaps are exponential, whatever the
 * server does. Without a rate each is due at once, and the number of streams alone limits the load.
 */
export class Arrivals {
  readonly #rate: number | undefined;
  readonly #seed: number;
  #next = 0;
  #due = 0;

  /** rate: requests per second. */
  constructor(rate: number | undefined, seed: number) {
    this.#rate = rate;
    this.#seed = seed;
  }

  next(): { readonly index: number; readonly due: number | undefined } {
    const index = this.#next++;
    if (this.#rate === undefined) return { index, due: undefined };
    this.#due += (-Math.log(1 - uniform(this.#seed, index, 0)) / this.#rate) * 1000;
    return { index, due: this.#due };
  }
}
