import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { cacheRow, checkedSlot, type PagedCache } from './paged-cache.js';
import { inputSignature } from './signature.js';
import { floats, floatWriter, indices, present } from './tensor-access.js';

/** Where rows lie in a paged cache. */
export interface CacheRows {
  /** i32[R], the sequence of each row; -1 for a row to ignore. */
  readonly slot: Value;
  /** i32[R], the place of each row in its sequence. */
  readonly position: Value;
  /** i32[L,M], the pages of each slot in order. */
  readonly pageTable: Value;
}

/**
 * Writes row r into page pageTable[slot[r], position[r] div Z] at offset position[r] mod Z, rounded to the cache's
 * dtype. Two rows with the same place: the later one stays.
 * cache f32|bf16[P,Z,G,K] (a state), rows f32[R,G,K] -> the cache, updated in place.
 * @throws EmuError INVALID_OPTION at run time, before anything is written, if a slot, position or page is out of range.
 */
export function cacheWrite(cache: Value, rows: Value, where: CacheRows): Value {
  const inputs = [cache, rows, where.slot, where.position, where.pageTable];
  return cache.tracer.call('cacheWrite', inputs)[0] as Value;
}

const bind = inputSignature<'P' | 'Z' | 'G' | 'K' | 'R' | 'L' | 'M'>(
  'cacheWrite',
  'cache f32|bf16[P,Z,G,K]',
  'rows f32[R,G,K]',
  'slot i32[R]',
  'position i32[R]',
  'pageTable i32[L,M]',
);

export const cacheWriteOp: OpDefinition = {
  name: 'cacheWrite',
  infer(inputs) {
    const { P, Z, G, K } = bind(inputs);
    return [{ shape: [P, Z, G, K], dtype: inputs[0]?.dtype ?? 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { P, Z, G, K, L, M } = bind(inputs);
    const rows = floats(present(inputs, 1));
    const position = indices(present(inputs, 3));
    const cache: PagedCache = {
      op: 'cacheWrite',
      pageCount: P,
      pageSize: Z,
      pageTable: indices(present(inputs, 4)),
      slotCount: L,
      pagesPerSlot: M,
    };
    const targets = Array.from(indices(present(inputs, 2)), (value, row) => {
      const slot = checkedSlot(cache, value, row);
      return slot < 0 ? -1 : cacheRow(cache, slot, position[row] as number, row);
    });
    const write = floatWriter(outputs[0] as Tensor);
    const width = G * K;
    for (const [row, target] of targets.entries()) {
      if (target < 0) continue;
      for (let i = 0; i < width; i++) write(target * width + i, rows[row * width + i] as number);
    }
  },
  gradient: { because: 'used at inference only' },
  aliasesInput: true,
  updatesState: [0],
};
