import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { activationFunction, type ActivationKind } from './activation-kind.js';
import { onlyFloatInput } from './axis.js';
import { floats, present } from './tensor-access.js';
import { activationGradient } from './activation-gradient.js';

/** Applies a scalar function to every element. x f32[...] -> f32[...]. */
export function activation(x: Value, kind: ActivationKind): Value {
  return x.tracer.call('activation', [x], { activation: kind })[0] as Value;
}

export const activationOp: OpDefinition = {
  name: 'activation',
  recomputed: 'always',
  infer(inputs, attributes) {
    activationFunction('activation', attributes);
    return [{ shape: onlyFloatInput('activation', inputs).shape, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const activate = activationFunction('activation', attributes);
    floats(outputs[0] as Tensor).set(floats(present(inputs, 0)).map(activate));
  },
  gradient: ([dy], { inputs, attributes }) => [
    activationGradient(inputs[0] as Value, dy as Value, attributes['activation'] as ActivationKind),
  ],
};
