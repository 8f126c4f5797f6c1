import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { activationDerivative, type ActivationKind } from './activation-kind.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/**
 * dy · act'(x), element by element: the gradient of `activation`. relu's derivative is 0 at 0.
 * x f32[...], dy f32[...] -> f32[...].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the shapes differ.
 */
export function activationGradient(x: Value, dy: Value, kind: ActivationKind): Value {
  return x.tracer.call('activationGradient', [x, dy], { activation: kind })[0] as Value;
}

const bind = inputSignature<never>('activationGradient', 'x f32[...]', 'dy f32[...]');

export const activationGradientOp: OpDefinition = {
  name: 'activationGradient',
  infer(inputs, attributes) {
    activationDerivative('activationGradient', attributes);
    return [{ shape: bind(inputs).rest, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const derivative = activationDerivative('activationGradient', attributes);
    const [x, dy] = [floats(present(inputs, 0)), floats(present(inputs, 1))];
    const out = floats(outputs[0] as Tensor);
    for (let i = 0; i < out.length; i++) out[i] = derivative(x[i] as number) * (dy[i] as number);
  },
  gradient: { because: 'it is a gradient itself; second derivatives train no model here' },
};
