import { EmuError } from '../errors.js';
import { refuseShape, type InputTypes, type OpDefinition } from '../op.js';
import type { Tensor, TensorType } from '../tensor.js';
import type { Value } from '../trace.js';
import { aroundAxis, axisAttribute, normalAxis } from './axis.js';
import { floats } from './tensor-access.js';
import { slice } from './slice.js';

/**
 * Joins values along an axis; a negative axis counts from the end.
 * x0, x1, ... f32, equal but for that axis -> f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if other sides differ, INVALID_OPTION for no values or no such axis.
 */
export function concat(values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (first === undefined) throw new EmuError('INVALID_OPTION', '[concat] needs at least 1 value, got 0');
  return first.tracer.call('concat', values, { axis: normalAxis('concat', axis, first) })[0] as Value;
}

function checkedInputs(inputs: InputTypes): [TensorType, ...TensorType[]] {
  const types = inputs.map((type, index) => {
    if (type === null) refuseShape('concat', `input ${index} is missing`, inputs);
    if (type.dtype !== 'f32') refuseShape('concat', `input ${index} is ${type.dtype}, needs f32`, inputs);
    return type;
  });
  const [first, ...others] = types;
  if (first === undefined) refuseShape('concat', 'needs at least 1 value, got 0', inputs);
  return [first, ...others];
}

export const concatOp: OpDefinition = {
  name: 'concat',
  infer(inputs, attributes) {
    const types = checkedInputs(inputs);
    const [first] = types;
    const axis = axisAttribute('concat', attributes, first);
    for (const [index, { shape }] of types.entries()) {
      const fits =
        shape.length === first.shape.length &&
        shape.every((side, at) => at === axis || side === first.shape[at]);
      if (!fits) {
        const [came, needed] = [shape.join(','), first.shape.join(',')];
        refuseShape(
          'concat',
          `input ${index} [${came}] differs from [${needed}] beyond axis ${axis}`,
          inputs,
        );
      }
    }
    const side = types.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
    return [{ shape: first.shape.with(axis, side), dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const output = outputs[0] as Tensor;
    const axis = axisAttribute('concat', attributes, output);
    const { outer, inner } = aroundAxis(output.shape, axis);
    const out = floats(output);
    const rowLength = (output.shape[axis] ?? 0) * inner;
    let start = 0;
    for (const input of inputs as readonly Tensor[]) {
      const length = (input.shape[axis] ?? 0) * inner;
      const x = floats(input);
      for (let o = 0; o < outer; o++) {
        out.set(x.subarray(o * length, (o + 1) * length), o * rowLength + start);
      }
      start += length;
    }
  },
  gradient([dy], { inputs, attributes }) {
    const axis = axisAttribute('concat', attributes, dy as Value);
    let start = 0;
    return (inputs as readonly Value[]).map((input) => {
      const length = input.side(axis);
      start += length;
      return slice(dy as Value, { axis, start: start - length, length });
    });
  },
};
