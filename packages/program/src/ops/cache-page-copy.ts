import type { OpDefinition } from '../op.js';
import { elementCount, type Tensor } from '../tensor.js';
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
 * cache f32|bf16[P,...], of keys or of values (a state) -> the cache, updated in place.
 * @throws EmuError INVALID_OPTION at run time, before anything is written, if a page is out of range.
 */
export function cachePageCopy(cache: Value, copies: PageCopies): Value {
  return cache.tracer.call('cachePageCopy', [cache, copies.from, copies.to])[0] as Value;
}

const bind = inputSignature<'P' | 'N'>('cachePageCopy', 'cache f32|bf16[P,...]', 'from i32[N]', 'to i32[N]');

export const cachePageCopyOp: OpDefinition = {
  name: 'cachePageCopy',
  infer(inputs) {
    const { P, rest } = bind(inputs);
    return [{ shape: [P, ...rest], dtype: inputs[0]?.dtype ?? 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { P, rest } = bind(inputs);
    const to = indices(present(inputs, 2));
    const copies = Array.from(indices(present(inputs, 1)), (page, row) => {
      const source = checkedIndex('cachePageCopy', 'from', row, page, P, -1);
      return [
        source,
        source < 0 ? -1 : checkedIndex('cachePageCopy', 'to', row, to[row] as number, P),
      ] as const;
    });
    const cache = (outputs[0] as Tensor).data;
    const length = elementCount(rest);
    for (const [source, target] of copies) {
      if (source >= 0) cache.copyWithin(target * length, source * length, (source + 1) * length);
    }
  },
  gradient: { because: 'used at inference only' },
  aliasesInput: true,
  updatesState: [0],
};
