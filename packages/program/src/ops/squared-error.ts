import { refuseShape, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { add } from './add.js';
import { multiply } from './multiply.js';
import { reshape } from './reshape.js';
import { scale } from './scale.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/**
 * The mean over a row of the squared difference.
 * prediction f32[R,D], target f32[R,D] -> f32[R].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the shapes differ or rows have no elements.
 */
export function squaredError(prediction: Value, target: Value): Value {
  return prediction.tracer.call('squaredError', [prediction, target])[0] as Value;
}

const bind = inputSignature<'R' | 'D'>('squaredError', 'prediction f32[R,D]', 'target f32[R,D]');

export const squaredErrorOp: OpDefinition = {
  name: 'squaredError',
  infer(inputs) {
    const { R, D } = bind(inputs);
    if (D === 0) refuseShape('squaredError', 'a mean needs at least one element in a row', inputs);
    return [{ shape: [R], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { R, D } = bind(inputs);
    const [prediction, target] = [floats(present(inputs, 0)), floats(present(inputs, 1))];
    const out = floats(outputs[0] as Tensor);
    for (let row = 0; row < R; row++) {
      let sum = 0;
      for (let at = row * D; at < (row + 1) * D; at++) {
        sum += ((prediction[at] as number) - (target[at] as number)) ** 2;
      }
      out[row] = sum / D;
    }
  },
  gradient: ([dy], { inputs }) => {
    const [prediction, target] = inputs as readonly [Value, Value];
    const [rows, width] = [prediction.side(0), prediction.side(1)];
    const difference = add(prediction, scale(target, { factor: -1 }));
    const slope = scale(reshape(dy as Value, [rows, 1]), { factor: 2 / width });
    const gradient = multiply(difference, slope);
    return [gradient, scale(gradient, { factor: -1 })];
  },
};
