import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { checkedIndex, indices, present } from './tensor-access.js';

export interface PageCopies {
  /** i32[N], pages to read; -1 for a copy to leave out. */
  readonly from: Value;
  /** i32[N], pages to overwrite. */
  readonly to: Value;
}

/**
 * Copies whole pages of a cache, one after the other in the order of the lists; beams and shared prefixes split
 * this way.
 * cache f32|bf16[P,Z,G,K] (a state) -> the cache, updated in place.
 * @throws EmuError INVALID_OPTION at run time, before anything is written, if a page is out of range.
 */
export function cachePageCopy(cache: Value, copies: PageCopies): Value {
  return cache.tracer.call('cachePageCopy', [cache, copies.from, copies.to])[0] as Value;
}

const bind = inputSignature<'P' | 'Z' | 'G' | 'K' | 'N'>(
  'cachePageCopy',
  'cache f32|bf16[P,Z,G,K]',
  'from i32[N]',
  'to i32[N]',
);

export const cachePageCopyOp: OpDefinition = {
  name: 'cachePageCopy',
  infer(inputs) {
    const { P, Z, G, K } = bind(inputs);
    return [{ shape: [P, Z, G, K], dtype: inputs[0]?.dtype ?? 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { P, Z, G, K } = bind(inputs);
    const to = indices(present(inputs, 2));
    const copies = Array.from(indices(present(inputs, 1)), (page, row) => {
      const source = checkedIndex('cachePageCopy', 'from', row, page, P, -1);
      return [
        source,
        source < 0 ? -1 : checkedIndex('cachePageCopy', 'to', row, to[row] as number, P),
      ] as const;
    });
    const cache = (outputs[0] as Tensor).data;
    const length = Z * G * K;
    for (const [source, target] of copies) {
      if (source >= 0) cache.copyWithin(target * length, source * length, (source + 1) * length);
    }
  },
  gradient: { because: 'used at inference only' },
  aliasesInput: true,
  updatesState: [0],
};
