import { EmuError } from './errors.js';

/*
 * Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3" (SC 2011). A block of four 32-bit words is a pure function of (counter, key), so any draw can be
 * made anywhere, in any order, on any backend, and the same seed means the same numbers.
 */

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9; // golden ratio
const weyl1 = 0xbb67ae85; // sqrt(3) - 1
const rounds = 10;

/** High 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle1 = aHigh * bLow + (low >>> 16); // below 2^32, exact
  const middle2 = aLow * bHigh + (middle1 & 0xffff);
  return (aHigh * bHigh + Math.floor(middle1 / 0x10000) + Math.floor(middle2 / 0x10000)) >>> 0;
}

export type PhiloxCounter = readonly [number, number, number, number];
export type PhiloxKey = readonly [number, number];

/**
 * One block of Philox4x32-10: four words of 32 random bits.
 * counter and key are unsigned 32-bit words, least significant first. Pure.
 */
export function philoxBlock(counter: PhiloxCounter, key: PhiloxKey): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const low0 = Math.imul(multiplier0, c0) >>> 0;
    const high1 = multiplyHigh(multiplier1, c2);
    const low1 = Math.imul(multiplier1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

const maxSeed = (1n << 64n) - 1n;

function checkedSeed(seed: bigint | number): bigint {
  if (typeof seed === 'number' && !Number.isSafeInteger(seed)) {
    throw new EmuError('INVALID_OPTION', `[philox] seed must be an integer of at most 2^53-1, got ${seed}`, {
      hint: 'Pass a bigint for seeds of up to 64 bits.',
      details: { seed },
    });
  }
  const value = BigInt(seed);
  if (value < 0n || value > maxSeed) {
    throw new EmuError('INVALID_OPTION', `[philox] seed must be in 0..2^64-1, got ${value}`, {
      details: { seed: String(value) },
    });
  }
  return value;
}

function checkedStream(stream: number): number {
  if (!Number.isInteger(stream) || stream < 0 || stream > 0xffffffff) {
    throw new EmuError('INVALID_OPTION', `[philox] stream must be an integer in 0..2^32-1, got ${stream}`, {
      details: { stream },
    });
  }
  return stream;
}

/**
 * A sequence of random numbers. The key is the 64-bit seed; the counter is (block low, block high, stream, 0), so
 * two streams of one seed never overlap. Words of a block are used in order.
 *
 * @throws EmuError INVALID_OPTION for a seed outside 0..2^64-1 or a stream outside 0..2^32-1.
 */
export class Philox {
  readonly #key: PhiloxKey;
  readonly #stream: number;
  #block = 0; // index of the next block, below 2^53
  #words: [number, number, number, number] = [0, 0, 0, 0];
  #used = 4;
  #spareNormal: number | undefined;

  constructor(seed: bigint | number, stream = 0) {
    const value = checkedSeed(seed);
    this.#key = [Number(value & 0xffffffffn), Number(value >> 32n)];
    this.#stream = checkedStream(stream);
  }

  /** 32 random bits as an unsigned number. */
  nextUint32(): number {
    if (this.#used === 4) {
      const high = Math.floor(this.#block / 0x100000000);
      this.#words = philoxBlock([this.#block >>> 0, high, this.#stream, 0], this.#key);
      this.#block += 1;
      this.#used = 0;
    }
    const word = this.#words[this.#used] as number; // #used is 0..3 here
    this.#used += 1;
    return word;
  }

  /** Uniform in [0, 1) with 24 bits, so exact in f32: the upper 24 bits of one word. */
  nextFloat(): number {
    return (this.nextUint32() >>> 8) * 2 ** -24;
  }

  /**
   * Unit normal in f64 (Box and Muller 1958). Two words a, b give a pair: u = (a+1)/2^32 in (0, 1],
   * v = b/2^32, sqrt(-2 ln u) * cos(2 pi v), then the same with sin. Largest magnitude 6.66.
   */
  nextNormal(): number {
    if (this.#spareNormal !== undefined) {
      const spare = this.#spareNormal;
      this.#spareNormal = undefined;
      return spare;
    }
    const u = (this.nextUint32() + 1) * 2 ** -32;
    const angle = 2 * Math.PI * this.nextUint32() * 2 ** -32;
    const radius = Math.sqrt(-2 * Math.log(u));
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
