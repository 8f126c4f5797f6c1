import { numberAttribute, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { onlyFloatInput } from './axis.js';
import { floats, present } from './tensor-access.js';

export interface ScaleOptions {
  /** Default 1. */
  readonly factor?: number;
  /** Default 0. */
  readonly offset?: number;
}

/** x · factor + offset. x f32[...] -> f32[...]. */
export function scale(x: Value, options: ScaleOptions): Value {
  const { factor = 1, offset = 0 } = options;
  return x.tracer.call('scale', [x], { factor, offset })[0] as Value;
}

export const scaleOp: OpDefinition = {
  name: 'scale',
  infer(inputs, attributes) {
    numberAttribute('scale', attributes, 'factor');
    numberAttribute('scale', attributes, 'offset');
    return [{ shape: onlyFloatInput('scale', inputs).shape, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const factor = numberAttribute('scale', attributes, 'factor');
    const offset = numberAttribute('scale', attributes, 'offset');
    const out = floats(outputs[0] as Tensor);
    floats(present(inputs, 0)).forEach((value, i) => {
      out[i] = value * factor + offset;
    });
  },
  gradient: ([dy], { attributes }) => [
    scale(dy as Value, { factor: numberAttribute('scale', attributes, 'factor') }),
  ],
};
