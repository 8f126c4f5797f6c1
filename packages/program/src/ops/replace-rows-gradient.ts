import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { checkedIndex, floats, indices, present } from './tensor-access.js';

/**
 * The gradient of `replaceRows` towards its rows: row target[n] of dy, zeros where the target is -1 or a later row has
 * taken the place.
 * dy f32[R,D], target i32[N] -> f32[N,D].
 * @throws EmuError INVALID_OPTION at run time if a target is not in -1..R-1.
 */
export function replaceRowsGradient(dy: Value, target: Value): Value {
  return dy.tracer.call('replaceRowsGradient', [dy, target])[0] as Value;
}

const bind = inputSignature<'R' | 'D' | 'N'>('replaceRowsGradient', 'dy f32[R,D]', 'target i32[N]');

export const replaceRowsGradientOp: OpDefinition = {
  name: 'replaceRowsGradient',
  infer(inputs) {
    const { N, D } = bind(inputs);
    return [{ shape: [N, D], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { R, D } = bind(inputs);
    const dy = floats(present(inputs, 0));
    const out = floats(outputs[0] as Tensor);
    const lastFor = new Map<number, number>();
    indices(present(inputs, 1)).forEach((value, n) => {
      lastFor.set(checkedIndex('replaceRowsGradient', 'target', n, value, R, -1), n);
    });
    lastFor.delete(-1);
    for (const [target, n] of lastFor) out.set(dy.subarray(target * D, (target + 1) * D), n * D);
  },
  gradient: { because: 'it is a gradient itself; second derivatives train no model here' },
};
