import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { checkedIndex, floats, indices, present } from './tensor-access.js';
import { scatterAddRows } from './scatter-add-rows.js';

/**
 * Row index[n] of x, for every n; an index may occur more than once.
 * x f32[R,D], index i32[N] -> f32[N,D].
 * @throws EmuError INVALID_OPTION at run time if an index is not in 0..R-1.
 */
export function gatherRows(x: Value, index: Value): Value {
  return x.tracer.call('gatherRows', [x, index])[0] as Value;
}

const bind = inputSignature<'R' | 'D' | 'N'>('gatherRows', 'x f32[R,D]', 'index i32[N]');

export const gatherRowsOp: OpDefinition = {
  name: 'gatherRows',
  infer(inputs) {
    const { N, D } = bind(inputs);
    return [{ shape: [N, D], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { R, D } = bind(inputs);
    const x = floats(present(inputs, 0));
    const out = floats(outputs[0] as Tensor);
    indices(present(inputs, 1)).forEach((value, n) => {
      const row = checkedIndex('gatherRows', 'index', n, value, R);
      out.set(x.subarray(row * D, (row + 1) * D), n * D);
    });
  },
  gradient([dy], { inputs }) {
    const [x, index] = inputs as readonly [Value, Value];
    return [scatterAddRows(dy as Value, index, { count: x.side(0) }), null];
  },
};
