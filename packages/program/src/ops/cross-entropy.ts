import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { ignoredTarget } from './ignored-target.js';
import { inputSignature } from './signature.js';
import { logSumExp } from './softmax-rows.js';
import { checkedIndex, floats, indices, present } from './tensor-access.js';
import { crossEntropyGradient } from './cross-entropy-gradient.js';

/**
 * log(sum(exp(logits))) - logits[target] for every row; 0 where the target is -100.
 * logits f32[R,V], target i32[R] -> f32[R].
 * @throws EmuError INVALID_OPTION at run time if another target is not in 0..V-1.
 */
export function crossEntropy(logits: Value, target: Value): Value {
  return logits.tracer.call('crossEntropy', [logits, target])[0] as Value;
}

const bind = inputSignature<'R' | 'V'>('crossEntropy', 'logits f32[R,V]', 'target i32[R]');

export const crossEntropyOp: OpDefinition = {
  name: 'crossEntropy',
  infer(inputs) {
    return [{ shape: [bind(inputs).R], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { V } = bind(inputs);
    const logits = floats(present(inputs, 0));
    const out = floats(outputs[0] as Tensor);
    indices(present(inputs, 1)).forEach((value, row) => {
      if (value === ignoredTarget) return;
      const target = checkedIndex('crossEntropy', 'target', row, value, V);
      const { largest, excess } = logSumExp(logits, row * V, V);
      out[row] = largest - (logits[row * V + target] as number) + excess;
    });
  },
  gradient([dy], { inputs }) {
    const [logits, target] = inputs as readonly [Value, Value];
    return [crossEntropyGradient(logits, target, dy as Value), null];
  },
};
