import { refuseAttribute, type OpDefinition } from '../op.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { cacheRow, checkedSlot, headPlace, type CachePart, type PagedCache } from './paged-cache.js';
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

export interface CacheWriteOptions extends CacheRows {
  readonly part: CachePart;
}

/**
 * Writes row r into page pageTable[slot[r], position[r] div Z] at offset position[r] mod Z, rounded to the cache's
 * dtype. Two rows with the same place: the later one stays.
 * cache f32|bf16[P,G,K,Z] of keys or [P,G,Z,K] of values (a state), rows f32[R,G,K] -> the cache, updated in place.
 * @throws EmuError INVALID_OPTION at run time, before anything is written, if a slot, position or page is out of range.
 */
export function cacheWrite(cache: Value, rows: Value, options: CacheWriteOptions): Value {
  const { slot, position, pageTable, part } = options;
  return cache.tracer.call('cacheWrite', [cache, rows, slot, position, pageTable], { part })[0] as Value;
}

const bindPart = (cache: string) =>
  inputSignature<'P' | 'Z' | 'G' | 'K' | 'R' | 'L' | 'M'>(
    'cacheWrite',
    cache,
    'rows f32[R,G,K]',
    'slot i32[R]',
    'position i32[R]',
    'pageTable i32[L,M]',
  );

const bindings = {
  keys: bindPart('cache f32|bf16[P,G,K,Z]'),
  values: bindPart('cache f32|bf16[P,G,Z,K]'),
} as const;

function partOf(attributes: Attributes): CachePart {
  const part = attributes['part'];
  if (part === 'keys' || part === 'values') return part;
  return refuseAttribute('cacheWrite', 'part', part, 'keys or values');
}

export const cacheWriteOp: OpDefinition = {
  name: 'cacheWrite',
  infer(inputs, attributes) {
    bindings[partOf(attributes)](inputs);
    return [{ shape: inputs[0]?.shape ?? [], dtype: inputs[0]?.dtype ?? 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const part = partOf(attributes);
    const { P, Z, G, K, L, M } = bindings[part](inputs);
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
    const layout = { heads: G, pageSize: Z, width: K };
    for (const [row, target] of targets.entries()) {
      if (target < 0) continue;
      for (let g = 0; g < G; g++) {
        const { start, step } = headPlace(part, layout, target, g);
        for (let i = 0; i < K; i++) write(start + i * step, rows[(row * G + g) * K + i] as number);
      }
    }
  },
  gradient: { because: 'used at inference only' },
  aliasesInput: true,
  updatesState: [0],
};
