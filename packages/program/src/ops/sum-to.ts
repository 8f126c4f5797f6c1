import { listAttribute, refuseAttribute, refuseShape, type InputTypes, type OpDefinition } from '../op.js';
import type { Attributes } from '../program.js';
import { sameShape, type Shape, type Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { add } from './add.js';
import { onlyFloatInput } from './axis.js';
import { forEachBroadcast } from './broadcast.js';
import { fill } from './fill.js';
import { floats, present } from './tensor-access.js';

/**
 * Sums over the axes along which `shape` would be repeated to give x: the gradient of broadcasting. `shape` is
 * aligned with x at the right; each of its sides is x's or 1.
 * x f32[...] -> f32[shape].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if `shape` does not broadcast to x.
 */
export function sumTo(x: Value, shape: Shape): Value {
  return x.tracer.call('sumTo', [x], { shape: [...shape] })[0] as Value;
}

function targetShape(inputs: InputTypes, attributes: Attributes): Shape {
  const x = onlyFloatInput('sumTo', inputs);
  const shape = listAttribute('sumTo', attributes, 'shape');
  if (shape.some((side) => !Number.isSafeInteger(side) || side < 0)) {
    refuseAttribute('sumTo', 'shape', shape, 'a list of sides');
  }
  const missing = x.shape.length - shape.length;
  const fits = missing >= 0 && shape.every((side, axis) => side === 1 || side === x.shape[axis + missing]);
  if (!fits) {
    refuseShape('sumTo', `[${shape.join(',')}] does not broadcast to x [${x.shape.join(',')}]`, inputs);
  }
  return shape;
}

export const sumToOp: OpDefinition = {
  name: 'sumTo',
  infer(inputs, attributes) {
    return [{ shape: targetShape(inputs, attributes), dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const x = present(inputs, 0);
    const values = floats(x);
    const out = floats(outputs[0] as Tensor);
    const sums = new Float64Array(out.length);
    forEachBroadcast(x.shape, targetShape(inputs, attributes), (from, to) => {
      sums[to] = (sums[to] as number) + (values[from] as number);
    });
    out.set(sums);
  },
  gradient: ([dy], { inputs }) => {
    const [x] = inputs as readonly [Value];
    const given = dy as Value;
    if (sameShape(given.shape, x.shape)) return [given];
    return [add(fill(x.tracer, x.shape, 0), given)];
  },
};
