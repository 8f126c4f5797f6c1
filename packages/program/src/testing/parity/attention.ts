import type { AttentionOptions } from '../../ops/attention-call.js';
import { attention } from '../../ops/attention.js';
import { attentionGradient } from '../../ops/attention-gradient.js';
import { cachePageCopy } from '../../ops/cache-page-copy.js';
import { cacheWrite } from '../../ops/cache-write.js';
import type { CachePart } from '../../ops/paged-cache.js';
import { cachedAttention } from '../../ops/cached-attention.js';
import { rotaryEmbedding } from '../../ops/rotary-embedding.js';
import type { Value } from '../../trace.js';
import type { CaseWriter, StoredDType } from '../case-writer.js';
import { exact, summed, transcendental } from '../tolerances.js';
import { makes, type CaseMaker } from './case-list.js';

interface AttentionSize {
  /** B, T, S, H, G, K */
  readonly sizes: readonly [number, number, number, number, number, number];
  readonly causal?: true;
  readonly bias?: true;
  /** Lengths of the sequences packed into the T = S positions of each batch element. */
  readonly packed?: readonly (readonly number[])[];
  /** Deviation of queries; large ones make the softmax sharp. */
  readonly spread?: number;
}

const attentionSizes: readonly AttentionSize[] = [
  { sizes: [0, 3, 3, 1, 1, 8] },
  { sizes: [1, 0, 3, 1, 1, 8] },
  { sizes: [2, 4, 0, 1, 1, 8] },
  { sizes: [1, 1, 1, 1, 1, 1] },
  { sizes: [1, 1, 17, 1, 1, 8] },
  { sizes: [1, 7, 7, 2, 2, 9], causal: true },
  { sizes: [2, 5, 5, 3, 1, 16], causal: true },
  { sizes: [1, 63, 65, 1, 1, 17] },
  { sizes: [1, 65, 63, 2, 2, 15], causal: true },
  { sizes: [1, 17, 129, 2, 1, 64], causal: true },
  { sizes: [1, 1, 300, 4, 2, 128], causal: true },
  { sizes: [1, 3, 257, 2, 2, 88] },
  { sizes: [1, 66, 257, 1, 1, 88] },
  { sizes: [1, 33, 33, 4, 2, 128], causal: true },
  { sizes: [1, 9, 9, 2, 2, 8], bias: true },
  { sizes: [2, 17, 33, 2, 1, 16], bias: true, causal: true },
  { sizes: [1, 12, 70, 2, 2, 31], spread: 30 },
  { sizes: [3, 16, 16, 8, 8, 40] },
  { sizes: [1, 5, 77, 5, 5, 160] },
  { sizes: [2, 9, 9, 2, 1, 8], causal: true, packed: [[9], [1, 2, 6]] },
  { sizes: [1, 33, 33, 2, 2, 17], bias: true, packed: [[5, 20, 8]] },
  { sizes: [1, 300, 300, 1, 1, 16], causal: true, packed: [[10, 141, 149]] },
  {
    sizes: [2, 150, 150, 4, 2, 40],
    causal: true,
    bias: true,
    packed: [
      [149, 1],
      [30, 120],
    ],
  },
];

/** For every position, where the sequence that it belongs to begins. */
function sequenceStarts(lengths: readonly number[]): number[] {
  let end = 0;
  return lengths.flatMap((length) => {
    end += length;
    return new Array<number>(length).fill(end - length);
  });
}

/** The inputs and options that a size asks for. */
function drawn(
  w: CaseWriter,
  size: AttentionSize,
): { q: Value; k: Value; v: Value; options: AttentionOptions } {
  const { sizes, causal = false, bias = false, packed, spread = 1 } = size;
  const [B, T, S, H, G, K] = sizes;
  const [q, k, v] = [
    w.floats('q', [B, T, H, K], spread),
    w.floats('k', [B, S, G, K]),
    w.floats('v', [B, S, G, K]),
  ];
  const options = {
    scale: K ** -0.5,
    causal,
    bias: bias ? w.floats('bias', [H, T, S], 2) : null,
    firstKey: packed ? w.indices('firstKey', [B, T], packed.flatMap(sequenceStarts)) : null,
  };
  return { q, k, v, options };
}

function* attentionCases(): Generator<CaseMaker> {
  for (const size of attentionSizes) {
    const { sizes, causal = false, bias = false, packed, spread = 1 } = size;
    const [B, T, S, H, G, K] = sizes;
    const traits = [
      ...(causal ? ['causal'] : []),
      ...(bias ? ['bias'] : []),
      ...(packed ? ['packed'] : []),
      ...(spread > 1 ? ['sharp'] : []),
    ];
    const label = [`B${B}-T${T}-S${S}-H${H}-G${G}-K${K}`, ...traits].join('-');
    // Scores of some 30 carry an f32 error of 30 times its step into the exponent.
    const tolerance =
      spread > 1
        ? { absolute: 2e-5, relative: 2e-5, reason: 'scores of about 30 before the exponent' }
        : summed;
    yield makes('attention', label, tolerance, (w) => {
      const { q, k, v, options } = drawn(w, size);
      return attention(q, k, v, options);
    });
    // With sharp scores a gradient is a difference of such weights times a query of that size.
    const gradientTolerance =
      spread > 1
        ? {
            absolute: 6e-4,
            relative: 2e-5,
            reason: 'scores of about 30 before the exponent, queries of 30 after',
          }
        : {
            absolute: 1e-5,
            relative: 1e-5,
            reason: 'f32 sums over keys and queries of products of two sums',
          };
    yield makes('attentionGradient', label, gradientTolerance, (w) => {
      const { q, k, v, options } = drawn(w, size);
      const out = attention(q, k, v, options);
      const dout = w.floats('dout', [B, T, H, K]);
      const { dq, dk, dv, dbias } = attentionGradient(q, k, v, { ...options, out, dout });
      return { dq, dk, dv, ...(dbias ? { dbias } : {}) };
    });
  }
}

export interface CacheSizes {
  readonly dtype: StoredDType;
  readonly pageSize: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly width: number;
  /** Rows written for each slot. */
  readonly lengths: readonly number[];
}

export interface CacheRow {
  readonly slot: number;
  readonly position: number;
}

/** Every place of every slot, slots taking turns as in a batch that decodes together. */
export function everyPlace(lengths: readonly number[]): readonly CacheRow[] {
  const longest = Math.max(0, ...lengths);
  const rounds = Array.from({ length: longest }, (_, position) =>
    lengths.flatMap((length, slot) => (position < length ? [{ slot, position }] : [])),
  );
  return rounds.flat();
}

/** Declares caches and a page table with scattered pages, and writes `rows` into them. */
export function filledCaches(
  w: CaseWriter,
  sizes: CacheSizes,
  rows: readonly CacheRow[],
): { keys: Value; values: Value; pageTable: Value } {
  const { dtype, pageSize, keyHeads, width, lengths } = sizes;
  const pagesPerSlot = Math.max(1, ...lengths.map((length) => Math.ceil(length / pageSize)));
  const pageCount = lengths.length * pagesPerSlot + 1;
  // Backwards, so that the pages of a slot do not follow one another in memory.
  const table = Array.from({ length: pageCount - 1 }, (_, entry) => pageCount - 1 - entry);
  const pageTable = w.indices('pageTable', [lengths.length, pagesPerSlot], table);
  const where = {
    slot: w.indices(
      'slot',
      [rows.length],
      rows.map((row) => row.slot),
    ),
    position: w.indices(
      'position',
      [rows.length],
      rows.map((row) => row.position),
    ),
    pageTable,
  };
  const written = (name: string, part: CachePart, page: readonly [number, number]): Value =>
    cacheWrite(
      w.tracer.state(name, [pageCount, keyHeads, ...page], dtype),
      w.floats(`${name}Rows`, [rows.length, keyHeads, width]),
      { ...where, part },
    );
  return {
    keys: written('keyCache', 'keys', [width, pageSize]),
    values: written('valueCache', 'values', [pageSize, width]),
    pageTable,
  };
}

const cacheSizes: readonly CacheSizes[] = (['f32', 'bf16'] as const).flatMap((dtype) => [
  { dtype, pageSize: 1, heads: 1, keyHeads: 1, width: 1, lengths: [3] },
  { dtype, pageSize: 4, heads: 3, keyHeads: 1, width: 7, lengths: [9, 1, 6] },
  { dtype, pageSize: 16, heads: 2, keyHeads: 2, width: 17, lengths: [65, 17] },
  { dtype, pageSize: 16, heads: 4, keyHeads: 2, width: 88, lengths: [16, 33, 1, 15] },
  { dtype, pageSize: 16, heads: 2, keyHeads: 1, width: 128, lengths: [130] },
]);

function* cacheCases(): Generator<CaseMaker> {
  const ignored: CacheRow = { slot: -1, position: 12345 };
  for (const sizes of cacheSizes) {
    const { dtype, pageSize, heads, keyHeads, width, lengths } = sizes;
    const label = `${dtype}-Z${pageSize}-H${heads}-G${keyHeads}-K${width}-${lengths.join('+')}`;
    const rows = [...everyPlace(lengths), ignored];
    yield makes('cacheWrite', label, exact, (w) => {
      const { keys, values } = filledCaches(w, sizes, rows);
      return { keys, values };
    });
    const last = lengths.map((length, slot) => ({ slot, position: length - 1 }));
    const asked = [ignored, ...last, ...everyPlace(lengths).slice(-40)];
    yield makes('cachedAttention', label, summed, (w) => {
      const { keys, values, pageTable } = filledCaches(w, sizes, rows);
      return cachedAttention(w.floats('q', [asked.length, heads, width]), keys, values, {
        slot: w.indices(
          'askedSlot',
          [asked.length],
          asked.map((row) => row.slot),
        ),
        position: w.indices(
          'askedPosition',
          [asked.length],
          asked.map((row) => row.position),
        ),
        pageTable,
        scale: width ** -0.5,
      });
    });
    yield makes('cachePageCopy', label, exact, (w) => {
      const { keys } = filledCaches(w, sizes, rows);
      const from = w.indices('from', [3], [0, -1, 1]);
      return cachePageCopy(keys, { from, to: w.indices('to', [3], [1, 99, 0]) });
    });
  }
  yield makes('cachedAttention', 'no-rows', exact, (w) => {
    const sizes: CacheSizes = { dtype: 'f32', pageSize: 4, heads: 1, keyHeads: 1, width: 8, lengths: [4] };
    const { keys, values, pageTable } = filledCaches(w, sizes, []);
    const none = w.indices('none', [0], []);
    const where = { slot: none, position: none, pageTable };
    return cachedAttention(w.floats('q', [0, 1, 8]), keys, values, { ...where, scale: 1 });
  });
}

function* rotaryCases(): Generator<CaseMaker> {
  const positions = [0, 1, 2, 63, 511, 2047, 4095, 131071];
  for (const [heads, width] of [
    [1, 2],
    [3, 10],
    [2, 34],
    [1, 64],
    [5, 88],
    [2, 128],
  ] as const) {
    yield makes('rotaryEmbedding', `H${heads}-K${width}`, transcendental, (w) =>
      rotaryEmbedding(
        w.floats('x', [positions.length, heads, width]),
        w.indices('position', [positions.length], positions),
        { theta: width === 64 ? 500000 : 10000 },
      ),
    );
  }
  yield makes('rotaryEmbedding', 'no-rows', exact, (w) =>
    rotaryEmbedding(w.floats('x', [0, 2, 8]), w.indices('position', [0], []), { theta: 10000 }),
  );
}

export function* attentionFamilyCases(): Generator<CaseMaker> {
  yield* attentionCases();
  yield* cacheCases();
  yield* rotaryCases();
}
