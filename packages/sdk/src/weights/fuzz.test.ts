import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { elementCount, EmuError } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { canonicalEncoder, canonicalVae } from './canonical-names.js';
import { readTensorFile } from './read-tensor-file.js';
import { bytesAccess } from './random-access.js';
import { readTensorFrom } from './tensor-source.js';
import { concat, op, pickledDict, pickledTensor, torchFile, u64, zipFile } from './torch-file-builder.js';

/*
 * Mutated files for a bounded time: EMU_FUZZ_SECONDS (5 by default) from EMU_FUZZ_SEED (1 by default). A failure
 * names seed and case; the same numbers make the same file.
 */
const seconds = Number(process.env['EMU_FUZZ_SECONDS'] ?? 5);
const firstSeed = Number(process.env['EMU_FUZZ_SEED'] ?? 1);

/** Mulberry32: integers below `bound`. */
function randomInts(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

type Random = (bound: number) => number;

const interesting = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];

function spliced(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  return concat(bytes.subarray(0, at), inserted, bytes.subarray(at + removed));
}

/** Small damage of the kinds that bugs and attackers make. */
const mutations: readonly ((bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array)[] = [
  (bytes, random) => {
    const out = bytes.slice();
    const at = random(out.length);
    out[at] = (out[at] ?? 0) ^ (1 << random(8));
    return out;
  },
  (bytes, random) => {
    const out = bytes.slice();
    out[random(out.length)] = random(256);
    return out;
  },
  (bytes, random) => {
    const out = bytes.slice();
    const value = interesting[random(interesting.length)] ?? 0;
    const width = [1, 2, 4, 8][random(4)] ?? 1;
    const at = random(Math.max(1, out.length - width));
    for (let i = 0; i < width && at + i < out.length; i++) {
      out[at + i] = i < 4 ? (value >>> (8 * i)) & 0xff : value === 0xffffffff ? 0xff : 0;
    }
    return out;
  },
  (bytes, random) => bytes.slice(0, random(bytes.length)),
  (bytes, random) => spliced(bytes, random(bytes.length), random(16), new Uint8Array(0)),
  (bytes, random) => {
    const from = random(bytes.length);
    return spliced(bytes, random(bytes.length), 0, bytes.slice(from, from + 1 + random(64)));
  },
  (bytes, random, other) => {
    const from = random(other.length);
    return spliced(bytes, random(bytes.length), random(32), other.slice(from, from + random(32)));
  },
];

function mutated(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let out = bytes;
  for (let rounds = 1 + random(4); rounds > 0 && out.length > 0; rounds--) {
    out = mutations[random(mutations.length)]?.(out, random, other) ?? out;
  }
  return out;
}

const testdata = join(import.meta.dirname, '../../../../testdata/weights');
const wholeFiles: Uint8Array[] = readdirSync(testdata)
  .filter((name) => name.endsWith('.pt'))
  .map((name) => new Uint8Array(readFileSync(join(testdata, name))));
wholeFiles.push(
  zipFile([{ name: 'a/data.pkl', data: pickledDict({ w: { shape: [1] } }) }], { zip64: {}, filled: true }),
);

const lora = 'decoder.lm.base_model.model.x.q_proj';
const pickles = [
  pickledDict({ w: { shape: [2, 3], strides: [1, 2] }, 'module.v': { shape: [6] } }),
  pickledDict({
    [`${lora}.weight`]: { shape: [3, 2] },
    [`${lora}.lora_A.default.weight`]: { shape: [1, 2] },
  }),
  concat(
    ...[op.proto(2), op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce, op.put(0), op.mark],
    ...[
      op.text('w'),
      pickledTensor({ shape: [6] }),
      op.text('l'),
      op.emptyList,
      op.mark,
      op.int(1),
      op.get(0),
    ],
    ...[op.appends, op.setItems, op.stop],
  ),
];
const headers = [
  '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[8,16]}}',
  '{"x":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"\\u00e9":{"dtype":"U8","shape":[8],"data_offsets":[8,16],"z":[{}]}}   ',
].map((text) => new TextEncoder().encode(text));

function pick<T>(list: readonly T[], random: Random): T {
  const item = list[random(list.length)];
  if (item === undefined) throw new Error('empty list');
  return item;
}

/** One hostile file: damage to a whole file, to a pickle in an intact zip, or to a header of fitting length. */
function hostileFile(random: Random): Uint8Array {
  switch (random(3)) {
    case 0:
      return mutated(pick(wholeFiles, random), random, pick(wholeFiles, random));
    case 1: {
      const data = mutated(pick(pickles, random), random, pick(pickles, random));
      return torchFile(data, { '0': new Uint8Array(24) });
    }
    default: {
      const header = mutated(pick(headers, random), random, pick(headers, random));
      return concat(u64(header.length), header, new Uint8Array(16));
    }
  }
}

const allowedCodes = new Set(['CHECKPOINT_CORRUPT', 'CHECKPOINT_UNSAFE', 'MODEL_NOT_FOUND']);

/** Opens, renames and reads as a model would. Returns whether the file was accepted. */
async function use(bytes: Uint8Array): Promise<boolean> {
  const access = bytesAccess(bytes);
  try {
    const file = await readTensorFile(access, 'fuzz');
    for (const entry of canonicalVae(canonicalEncoder(file).file).entries.values()) {
      const { data } = await readTensorFrom(access, entry);
      expect(data.length).toBe(elementCount(entry.shape));
      expect(data.byteLength).toBeLessThanOrEqual(bytes.length);
    }
    return true;
  } catch (error) {
    if (!EmuError.isInstance(error) || !allowedCodes.has(error.code)) throw error;
    expect(error.message.length).toBeLessThan(3000);
    return false;
  }
}

describe('mutated checkpoint files', () => {
  it(
    'open or are refused with a typed error, quickly',
    async () => {
      const end = performance.now() + seconds * 1000;
      const memoryBefore = process.memoryUsage().rss;
      let [cases, accepted] = [0, 0];
      for (; performance.now() < end; cases++) {
        const bytes = hostileFile(randomInts(firstSeed * 1_000_003 + cases));
        const start = performance.now();
        try {
          if (await use(bytes)) accepted++;
        } catch (error) {
          throw new Error(`EMU_FUZZ_SEED=${firstSeed}, case ${cases}`, { cause: error });
        }
        expect(performance.now() - start, `seed ${firstSeed}, case ${cases}`).toBeLessThan(10_000);
      }
      // Both outcomes must occur, or the mutations are too wild or too tame to find anything.
      expect(cases).toBeGreaterThan(100);
      expect(accepted).toBeGreaterThan(cases / 1000);
      expect(accepted).toBeLessThan(cases * 0.9);
      expect(process.memoryUsage().rss - memoryBefore).toBeLessThan(2 ** 30);
      console.info(`[fuzz] ${cases} files, ${accepted} accepted`);
    },
    seconds * 1000 + 60_000,
  );
});
