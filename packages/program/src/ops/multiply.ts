import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { broadcastType, forEachBroadcast, summedTo } from './broadcast.js';
import { floats, present } from './tensor-access.js';

/**
 * a · b, element by element. b broadcasts to a: aligned at the right, each side equal or 1.
 * a f32[...], b f32[...] -> a's shape.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if b does not broadcast to a.
 */
export function multiply(a: Value, b: Value): Value {
  return a.tracer.call('multiply', [a, b])[0] as Value;
}

export const multiplyOp: OpDefinition = {
  name: 'multiply',
  infer: (inputs) => [broadcastType('multiply', inputs)],
  reference(inputs, _attributes, outputs) {
    const [a, b] = [present(inputs, 0), present(inputs, 1)];
    const [left, right, out] = [floats(a), floats(b), floats(outputs[0] as Tensor)];
    forEachBroadcast(a.shape, b.shape, (i, j) => {
      out[i] = (left[i] as number) * (right[j] as number);
    });
  },
  gradient([dy], { inputs }) {
    const [a, b] = inputs as readonly [Value, Value];
    return [multiply(dy as Value, b), summedTo(multiply(dy as Value, a), b)];
  },
};
