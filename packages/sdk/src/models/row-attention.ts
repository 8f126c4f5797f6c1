import { attention, cachedAttention, cacheWrite, reshape, type Value } from '@emu/program';

/** How the rows of a flat batch see one another: what differs between running a model and training it. */
export interface RowAttention {
  /** i32[R]: position of each row in its sequence. */
  readonly position: Value;
  /** Every row attends to its own sequence up to itself: q, k, v f32[R,H,K] -> f32[R,H,K]. */
  attend(q: Value, k: Value, v: Value, scale: number): Value;
}

/** Where each row of the flat batch stands, and the pages its sequence owns. */
export interface CacheRows {
  /** i32[R]: cache slot of the row's sequence; -1 for a row that is not used. */
  readonly slot: Value;
  /** i32[R]: position in the sequence, which is also its place in the cache. */
  readonly position: Value;
  /** i32[L,M]: pages of each slot in order. */
  readonly pageTable: Value;
}

/** Key cache [P,G,K,Z] and value cache [P,G,Z,K] of one layer. */
export interface LayerCache {
  readonly key: Value;
  readonly value: Value;
}

/**
 * Sequences in slots of a paged cache, so that prompts and single steps of many mix freely in one run: writes the rows'
 * keys and values, then lets every row attend to its own sequence.
 */
export function cachedRows(cache: LayerCache, rows: CacheRows): RowAttention {
  return {
    position: rows.position,
    attend(q, k, v, scale) {
      const keys = cacheWrite(cache.key, k, { ...rows, part: 'keys' });
      const values = cacheWrite(cache.value, v, { ...rows, part: 'values' });
      return cachedAttention(q, keys, values, { ...rows, scale });
    },
  };
}

/** Where sequences lie that are packed one after the other into rows of equal length. */
export interface PackedRows {
  /** i32[B*T]: position of each place in its own sequence, from 0. */
  readonly position: Value;
  /** i32[B,T]: where in its row the sequence of each place begins; nothing before it is seen. */
  readonly firstKey: Value;
}

/** Whole sequences at once, without a cache, for training. R is B*T, row-major. */
export function packedRows({ position, firstKey }: PackedRows): RowAttention {
  const [batch, length] = [firstKey.side(0), firstKey.side(1)];
  const unfold = (x: Value): Value => reshape(x, [batch, length, x.side(1), x.side(2)]);
  return {
    position,
    attend(q, k, v, scale) {
      const mixed = attention(unfold(q), unfold(k), unfold(v), { scale, causal: true, firstKey });
      return reshape(mixed, [batch * length, q.side(1), q.side(2)]);
    },
  };
}
