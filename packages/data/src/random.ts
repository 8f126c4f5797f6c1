/**
 * Random numbers that depend on a key and a counter only, so that any sample can be made without those before it.
 */

/** The high and the low 32 bits of the product of two unsigned 32-bit integers. */
function wideProduct(a: number, b: number): readonly [number, number] {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + Math.floor(low / 65536);
  const carried = (middle % 65536) + aLow * bHigh;
  const high = aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carried / 65536);
  return [high >>> 0, Math.imul(a, b) >>> 0];
}

/** Four unsigned 32-bit words. */
export type Words = readonly [number, number, number, number];

/**
 * Philox4x32 with ten rounds (Salmon et al. 2011): a counter of four words under a key of two words.
 * All words are unsigned 32-bit.
 */
export function philox(counter: Words, key: readonly [number, number]): Words {
  let [a, b, c, d] = counter;
  let [keyLow, keyHigh] = key;
  for (let round = 0; round < 10; round++) {
    const [highA, lowA] = wideProduct(0xd2511f53, a);
    const [highC, lowC] = wideProduct(0xcd9e8d57, c);
    a = (highC ^ b ^ keyLow) >>> 0;
    b = lowC;
    c = (highA ^ d ^ keyHigh) >>> 0;
    d = lowA;
    keyLow = (keyLow + 0x9e3779b9) >>> 0;
    keyHigh = (keyHigh + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** A 32-bit number for a name (FNV-1a), so that streams of different names never share counters. */
function nameHash(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193) >>> 0;
  }
  return hash;
}

/** Draws of one sample: the seed is the key; the index, the name and the number of the draw are the counter. */
export class Random {
  readonly #key: readonly [number, number];
  readonly #indexLow: number;
  readonly #indexHigh: number;
  readonly #stream: number;
  #block = 0;
  #words: Words = [0, 0, 0, 0];
  #used = 4;

  /** `seed` and `index` are integers 0..2^53-1. */
  constructor(seed: number, index: number, name: string) {
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32)];
    this.#indexLow = index >>> 0;
    this.#indexHigh = Math.floor(index / 2 ** 32);
    this.#stream = nameHash(name);
  }

  #word(): number {
    if (this.#used === 4) {
      this.#words = philox([this.#indexLow, this.#indexHigh, this.#stream, this.#block++], this.#key);
      this.#used = 0;
    }
    return this.#words[this.#used++] ?? 0;
  }

  /** Uniform in [0, 1), in steps of 2^-32. */
  unit(): number {
    return this.#word() / 2 ** 32;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.unit();
  }

  /** Uniform integer 0..count-1. */
  integer(count: number): number {
    return Math.floor(this.unit() * count);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** One element of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    const at = this.integer(list.length);
    if (at >= list.length) throw new RangeError('[random] cannot pick from an empty list');
    return list[at] as T;
  }

  /** A key of the table, with chance proportional to its weight. */
  weighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K {
    const entries = Object.entries(weights) as [K, number][];
    const last = entries.at(-1);
    if (last === undefined) throw new RangeError('[random] cannot pick from an empty table');
    let left = this.unit() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return last[0];
  }

  /** The list in a random order; the argument is left alone. */
  shuffled<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let at = out.length - 1; at > 0; at--) {
      const other = this.integer(at + 1);
      const kept = out[at] as T;
      out[at] = out[other] as T;
      out[other] = kept;
    }
    return out;
  }
}
