import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { ignoredTarget } from './ignored-target.js';
import { inputSignature } from './signature.js';
import { logSumExp } from './softmax-rows.js';
import { checkedIndex, floats, indices, present } from './tensor-access.js';

/**
 * The gradient of `crossEntropy`: dy (softmax(logits) - [v = target]) for every row; zeros where the target is -100.
 * logits f32[R,V], target i32[R], dy f32[R] -> f32[R,V].
 * @throws EmuError INVALID_OPTION at run time if another target is not in 0..V-1.
 */
export function crossEntropyGradient(logits: Value, target: Value, dy: Value): Value {
  return logits.tracer.call('crossEntropyGradient', [logits, target, dy])[0] as Value;
}

const bind = inputSignature<'R' | 'V'>(
  'crossEntropyGradient',
  'logits f32[R,V]',
  'target i32[R]',
  'dy f32[R]',
);

export const crossEntropyGradientOp: OpDefinition = {
  name: 'crossEntropyGradient',
  infer(inputs) {
    const { R, V } = bind(inputs);
    return [{ shape: [R, V], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { V } = bind(inputs);
    const [logits, dy] = [floats(present(inputs, 0)), floats(present(inputs, 2))];
    const out = floats(outputs[0] as Tensor);
    indices(present(inputs, 1)).forEach((value, row) => {
      if (value === ignoredTarget) return;
      const target = checkedIndex('crossEntropyGradient', 'target', row, value, V);
      const { largest, excess } = logSumExp(logits, row * V, V);
      for (let v = 0; v < V; v++) {
        const share = Math.exp((logits[row * V + v] as number) - largest - excess);
        out[row * V + v] = (dy[row] as number) * (share - (v === target ? 1 : 0));
      }
    });
  },
  reusesInput: true,
  gradient: { because: 'second derivatives are not needed for training' },
};
