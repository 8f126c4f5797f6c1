import { numberAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import type { CacheRows } from './cache-write.js';
import {
  cacheRow,
  checkedSlot,
  headPlace,
  type CachePart,
  type HeadPlace,
  type PagedCache,
} from './paged-cache.js';
import { inputSignature } from './signature.js';
import { attendRow } from './softmax-rows.js';
import { floatReader, floats, indices, present } from './tensor-access.js';

export interface CachedAttentionOptions extends CacheRows {
  /** Factor on q·k, usually 1/sqrt(K). */
  readonly scale: number;
}

/**
 * Attention of flat rows over a paged cache: row r attends to positions 0..position[r] of its slot, its own
 * included (so write the cache first). A row of slot -1 gives zeros. Head h reads key head floor(h / (H / G)).
 * q f32[R,H,K], keyCache f32|bf16[P,G,K,Z] and valueCache [P,G,Z,K] of the same dtype -> f32[R,H,K].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if H is not a multiple of G; INVALID_OPTION at run time if a slot,
 *   position or page is out of range.
 */
export function cachedAttention(
  q: Value,
  keyCache: Value,
  valueCache: Value,
  options: CachedAttentionOptions,
): Value {
  const { slot, position, pageTable, scale } = options;
  const inputs = [q, keyCache, valueCache, slot, position, pageTable];
  return q.tracer.call('cachedAttention', inputs, { scale })[0] as Value;
}

const bind = inputSignature<'P' | 'Z' | 'G' | 'K' | 'R' | 'H' | 'L' | 'M'>(
  'cachedAttention',
  'q f32[R,H,K]',
  'keyCache f32|bf16[P,G,K,Z]',
  'valueCache f32|bf16[P,G,Z,K]',
  'slot i32[R]',
  'position i32[R]',
  'pageTable i32[L,M]',
);

export const cachedAttentionOp: OpDefinition = {
  name: 'cachedAttention',
  infer(inputs, attributes) {
    numberAttribute('cachedAttention', attributes, 'scale');
    const { R, H, K, G } = bind(inputs);
    if (G === 0 || H % G !== 0) {
      refuseShape('cachedAttention', `${H} query heads are not a multiple of ${G} key heads`, inputs);
    }
    const [keyType, valueType] = [inputs[1]?.dtype, inputs[2]?.dtype];
    if (keyType !== valueType) {
      refuseShape('cachedAttention', `keyCache is ${keyType} but valueCache is ${valueType}`, inputs);
    }
    return [{ shape: [R, H, K], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const scale = numberAttribute('cachedAttention', attributes, 'scale');
    const { P, Z, G, K, R, H, L, M } = bind(inputs);
    const q = floats(present(inputs, 0));
    const [key, value] = [floatReader(present(inputs, 1)), floatReader(present(inputs, 2))];
    const [slots, positions] = [indices(present(inputs, 3)), indices(present(inputs, 4))];
    const cache: PagedCache = {
      op: 'cachedAttention',
      pageCount: P,
      pageSize: Z,
      pageTable: indices(present(inputs, 5)),
      slotCount: L,
      pagesPerSlot: M,
    };
    const layout = { heads: G, pageSize: Z, width: K };
    const out = floats(outputs[0] as Tensor);
    for (let row = 0; row < R; row++) {
      const slot = checkedSlot(cache, slots[row] as number, row);
      if (slot < 0) continue;
      const position = positions[row] as number;
      cacheRow(cache, slot, position, row);
      const rows = Array.from({ length: position + 1 }, (_, s) => cacheRow(cache, slot, s, row));
      const placesOf = (part: CachePart, head: number): readonly HeadPlace[] =>
        rows.map((cached) => headPlace(part, layout, cached, head));
      for (let h = 0; h < H; h++) {
        const queryStart = (row * H + h) * K;
        const group = Math.floor(h / (H / G));
        attendRow({
          width: K,
          keyCount: rows.length,
          scale,
          query: (i) => q[queryStart + i] as number,
          key: elementReader(key, placesOf('keys', group)),
          value: elementReader(value, placesOf('values', group)),
          bias: () => 0,
          write: (i, result) => (out[queryStart + i] = result),
        });
      }
    }
  },
  gradient: { because: 'used at inference only' },
};

/** Element i of the row that lies at places[s]. */
function elementReader(
  read: (index: number) => number,
  places: readonly HeadPlace[],
): (s: number, i: number) => number {
  return (s, i) => {
    const { start, step } = places[s] as HeadPlace;
    return read(start + i * step);
  };
}
