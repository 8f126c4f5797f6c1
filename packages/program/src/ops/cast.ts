import { refuseAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { floatReader, floatWriter, present } from './tensor-access.js';

/** Float types a program may cast between. */
export type FloatDType = 'f32' | 'bf16';

/**
 * Changes the storage type; to bf16 rounds to nearest even.
 * x f32|bf16[...] -> f32|bf16[...].
 */
export function cast(x: Value, dtype: FloatDType): Value {
  return x.tracer.call('cast', [x], { dtype })[0] as Value;
}

function dtypeAttribute(attributes: Attributes): FloatDType {
  const dtype = attributes['dtype'];
  if (dtype !== 'f32' && dtype !== 'bf16') refuseAttribute('cast', 'dtype', dtype, 'f32 or bf16');
  return dtype;
}

export const castOp: OpDefinition = {
  name: 'cast',
  recomputed: 'from-declared',
  infer(inputs, attributes) {
    const dtype = dtypeAttribute(attributes);
    const [x] = inputs;
    if (inputs.length !== 1 || !x) refuseShape('cast', 'takes 1 input (x)', inputs);
    if (x.dtype !== 'f32' && x.dtype !== 'bf16') {
      refuseShape('cast', `x is ${x.dtype}, needs f32 or bf16`, inputs);
    }
    return [{ shape: x.shape, dtype }];
  },
  reference(inputs, _attributes, outputs) {
    const x = present(inputs, 0);
    const [read, write] = [floatReader(x), floatWriter(outputs[0] as Tensor)];
    for (let i = 0; i < x.data.length; i++) write(i, read(i));
  },
  // Rounding counts as the identity; gradients are f32 on both sides of it.
  gradient: ([dy]) => [dy as Value],
};
