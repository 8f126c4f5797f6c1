import { attentionGradient } from '../../ops/attention-gradient.js';
import { attention } from '../../ops/attention.js';
import { cachePageCopy } from '../../ops/cache-page-copy.js';
import { cacheWrite } from '../../ops/cache-write.js';
import { cachedAttention } from '../../ops/cached-attention.js';
import { crossEntropyGradient } from '../../ops/cross-entropy-gradient.js';
import { crossEntropy } from '../../ops/cross-entropy.js';
import { embedding } from '../../ops/embedding.js';
import { gatherRows } from '../../ops/gather-rows.js';
import { linearCrossEntropyWithGradients } from '../../ops/linear-cross-entropy-with-gradients.js';
import { scatterAddRows } from '../../ops/scatter-add-rows.js';
import { replaceRowsGradient } from '../../ops/replace-rows-gradient.js';
import { replaceRows } from '../../ops/replace-rows.js';
import type { Value } from '../../trace.js';
import { writeCase, type CaseWriter } from '../case-writer.js';
import type { OpCase } from '../op-case.js';
import { exact } from '../tolerances.js';

/** A run with an index that is out of range in one row. */
export interface Refusal {
  readonly name: string;
  readonly op: string;
  /** The index that must be named, and its row. */
  readonly value: number;
  readonly row: number;
  readonly make: (seed: number) => OpCase;
}

type Build = (w: CaseWriter, bad: number) => Value;

/** Indices that no range holds: just beyond, far beyond, negative, the ends of i32. */
const outside = [-3, 100, 2 ** 31 - 1, -(2 ** 31)] as const;

const keyShape = [5, 1, 8, 4] as const;
const valueShape = [5, 1, 4, 8] as const;
const pages = [4, 0, 3, 1];

/** Slots, positions and a page table of two slots with two pages each, one number of them replaced. */
function where(w: CaseWriter, slot: number, position: number, table: readonly number[]) {
  return {
    slot: w.indices('slot', [3], [0, 1, slot]),
    position: w.indices('position', [3], [0, 3, position]),
    pageTable: w.indices('pageTable', [2, 2], table),
  };
}

const writing = (w: CaseWriter, slot: number, position: number, table: readonly number[] = pages): Value =>
  cacheWrite(w.tracer.state('cache', valueShape), w.floats('rows', [3, 1, 8]), {
    ...where(w, slot, position, table),
    part: 'values',
  });

const attending = (w: CaseWriter, slot: number, position: number, table: readonly number[] = pages): Value =>
  cachedAttention(
    w.floats('q', [3, 2, 8]),
    w.tracer.state('keyCache', keyShape),
    w.tracer.state('valueCache', valueShape),
    { ...where(w, slot, position, table), scale: 1 },
  );

/** Three queries and keys of one head, the last query with this first key. */
function packedInputs(w: CaseWriter, bad: number) {
  const [q, k, v] = [w.floats('q', [1, 3, 1, 8]), w.floats('k', [1, 3, 1, 8]), w.floats('v', [1, 3, 1, 8])];
  return { q, k, v, options: { scale: 1, firstKey: w.indices('firstKey', [1, 3], [0, 3, bad]) } };
}

const builds: readonly (readonly [string, string, number, Build])[] = [
  [
    'embedding',
    'id',
    1,
    (w, bad) => embedding(w.weight('table', [9, 4]), w.indices('ids', [3], [0, bad, 2])),
  ],
  [
    'gatherRows',
    'index',
    2,
    (w, bad) => gatherRows(w.floats('x', [9, 4]), w.indices('index', [3], [0, 1, bad])),
  ],
  [
    'replaceRows',
    'target',
    0,
    (w, bad) =>
      replaceRows(w.floats('x', [9, 4]), w.floats('rows', [2, 4]), w.indices('target', [2], [bad, 1])),
  ],
  [
    'replaceRowsGradient',
    'target',
    1,
    (w, bad) => replaceRowsGradient(w.floats('dy', [9, 4]), w.indices('target', [2], [3, bad])),
  ],
  [
    'scatterAddRows',
    'index',
    1,
    (w, bad) => scatterAddRows(w.floats('rows', [2, 4]), w.indices('index', [2], [-1, bad]), { count: 9 }),
  ],
  [
    'crossEntropy',
    'target',
    1,
    (w, bad) => crossEntropy(w.floats('logits', [2, 9]), w.indices('target', [2], [8, bad])),
  ],
  [
    'crossEntropyGradient',
    'target',
    1,
    (w, bad) =>
      crossEntropyGradient(
        w.floats('logits', [2, 9]),
        w.indices('target', [2], [8, bad]),
        w.floats('dy', [2]),
      ),
  ],
  [
    'linearCrossEntropyWithGradients',
    'target',
    1,
    (w, bad) =>
      linearCrossEntropyWithGradients({
        state: w.tracer.state('state', [9, 3]),
        x: w.floats('x', [2, 3]),
        weight: w.floats('weight', [9, 3]),
        target: w.indices('target', [2], [8, bad]),
        dy: w.floats('dy', [2]),
      }).losses,
  ],
  [
    'attention',
    'firstKey',
    2,
    (w, bad) => {
      const { q, k, v, options } = packedInputs(w, bad);
      return attention(q, k, v, options);
    },
  ],
  [
    'attentionGradient',
    'firstKey',
    2,
    (w, bad) => {
      const { q, k, v, options } = packedInputs(w, bad);
      return attentionGradient(q, k, v, { ...options, out: q, dout: q }).dq;
    },
  ],
  ['cacheWrite', 'slot', 2, (w, bad) => writing(w, bad, 0)],
  ['cacheWrite', 'position', 2, (w, bad) => writing(w, 1, bad)],
  ['cacheWrite', 'page', 2, (w, bad) => writing(w, 1, 4, [4, 0, 3, bad])],
  ['cachedAttention', 'slot', 2, (w, bad) => attending(w, bad, 0)],
  ['cachedAttention', 'position', 2, (w, bad) => attending(w, 1, bad)],
  ['cachedAttention', 'page', 2, (w, bad) => attending(w, 1, 5, [4, 0, 3, bad])],
  [
    'cachePageCopy',
    'from',
    1,
    (w, bad) =>
      cachePageCopy(w.tracer.state('cache', keyShape), {
        from: w.indices('from', [2], [0, bad]),
        to: w.indices('to', [2], [1, 2]),
      }),
  ],
  [
    'cachePageCopy',
    'to',
    1,
    (w, bad) =>
      cachePageCopy(w.tracer.state('cache', keyShape), {
        from: w.indices('from', [2], [0, 1]),
        to: w.indices('to', [2], [1, bad]),
      }),
  ],
];

/** Every index input of every op, with indices that must end the run as INVALID_OPTION. */
export function* refusals(): Generator<Refusal> {
  for (const [op, what, row, build] of builds) {
    for (const value of outside) {
      const name = `${op}/refuses-${what}-${value}`;
      yield {
        name,
        op,
        value,
        row,
        make: (seed) => writeCase({ name, op, tolerance: exact, seed }, (w) => build(w, value)),
      };
    }
  }
}
