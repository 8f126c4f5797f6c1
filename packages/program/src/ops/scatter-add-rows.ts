import { integerAttribute, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { checkedIndex, floats, indices, present } from './tensor-access.js';

export interface ScatterOptions {
  /** Rows of the result. */
  readonly count: number;
}

/**
 * Row c of the result is the sum of the rows n with index[n] = c, in the order of n; rows that nobody names are
 * zeros, and a row with index -1 is left out. The gradient of `embedding` and of `gatherRows`.
 * rows f32[N,D], index i32[N] -> f32[count,D].
 * @throws EmuError INVALID_OPTION at run time if an index is not in -1..count-1.
 */
export function scatterAddRows(rows: Value, index: Value, options: ScatterOptions): Value {
  return rows.tracer.call('scatterAddRows', [rows, index], { count: options.count })[0] as Value;
}

const bind = inputSignature<'N' | 'D'>('scatterAddRows', 'rows f32[N,D]', 'index i32[N]');

export const scatterAddRowsOp: OpDefinition = {
  name: 'scatterAddRows',
  infer(inputs, attributes) {
    const count = integerAttribute('scatterAddRows', attributes, 'count', 0);
    return [{ shape: [count, bind(inputs).D], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const count = integerAttribute('scatterAddRows', attributes, 'count', 0);
    const { D } = bind(inputs);
    const rows = floats(present(inputs, 0));
    const out = floats(outputs[0] as Tensor);
    const sums = new Float64Array(out.length);
    indices(present(inputs, 1)).forEach((value, n) => {
      const target = checkedIndex('scatterAddRows', 'index', n, value, count, -1);
      if (target < 0) return;
      for (let d = 0; d < D; d++) {
        sums[target * D + d] = (sums[target * D + d] as number) + (rows[n * D + d] as number);
      }
    });
    out.set(sums);
  },
  gradient: { because: 'it is the gradient of a look-up; second derivatives train no model here' },
};
