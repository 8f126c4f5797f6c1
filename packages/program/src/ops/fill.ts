import { listAttribute, numberAttribute, refuseAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Shape, Tensor } from '../tensor.js';
import type { Tracer, Value } from '../trace.js';
import { floats } from './tensor-access.js';

/** A tensor of which every element is `value`, rounded to f32. -> f32[shape]. */
export function fill(tracer: Tracer, shape: Shape, value: number): Value {
  return tracer.call('fill', [], { shape: [...shape], value })[0] as Value;
}

export const fillOp: OpDefinition = {
  name: 'fill',
  infer(inputs, attributes) {
    if (inputs.length !== 0) refuseShape('fill', `takes no inputs, got ${inputs.length}`, inputs);
    const value = numberAttribute('fill', attributes, 'value');
    if (!Number.isFinite(Math.fround(value))) refuseAttribute('fill', 'value', value, 'a 32-bit float');
    const shape = listAttribute('fill', attributes, 'shape');
    if (shape.some((side) => !Number.isSafeInteger(side) || side < 0)) {
      refuseAttribute('fill', 'shape', shape, 'a list of sides');
    }
    return [{ shape, dtype: 'f32' }];
  },
  reference(_inputs, attributes, outputs) {
    floats(outputs[0] as Tensor).fill(numberAttribute('fill', attributes, 'value'));
  },
  gradient: () => [],
};
