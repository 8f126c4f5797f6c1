import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { checkedIndex, floats, indices, present } from './tensor-access.js';
import { fill } from './fill.js';
import { replaceRowsGradient } from './replace-rows-gradient.js';

/**
 * A copy of x in which row target[n] is rows[n]; target -1 is left out, of equal targets the last one stays. This
 * is how picture embeddings take the places of their tokens.
 * x f32[R,D], rows f32[N,D], target i32[N] -> f32[R,D].
 * @throws EmuError INVALID_OPTION at run time if a target is not in -1..R-1.
 */
export function replaceRows(x: Value, rows: Value, target: Value): Value {
  return x.tracer.call('replaceRows', [x, rows, target])[0] as Value;
}

const bind = inputSignature<'R' | 'D' | 'N'>('replaceRows', 'x f32[R,D]', 'rows f32[N,D]', 'target i32[N]');

export const replaceRowsOp: OpDefinition = {
  name: 'replaceRows',
  infer(inputs) {
    const { R, D } = bind(inputs);
    return [{ shape: [R, D], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { R, D } = bind(inputs);
    const rows = floats(present(inputs, 1));
    const out = floats(outputs[0] as Tensor);
    out.set(floats(present(inputs, 0)));
    indices(present(inputs, 2)).forEach((value, n) => {
      const target = checkedIndex('replaceRows', 'target', n, value, R, -1);
      if (target >= 0) out.set(rows.subarray(n * D, (n + 1) * D), target * D);
    });
  },
  gradient([dy], { inputs }) {
    const [x, rows, target] = inputs as readonly [Value, Value, Value];
    const zeros = fill(x.tracer, rows.shape, 0);
    return [replaceRows(dy as Value, zeros, target), replaceRowsGradient(dy as Value, target), null];
  },
};
