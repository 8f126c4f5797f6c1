import { listAttribute, refuseAttribute, refuseShape, type OpDefinition } from '../op.js';
import { elementCount, type Shape } from '../tensor.js';
import type { Value } from '../trace.js';

/**
 * The same elements in row-major order under another shape; no copy. One side may be -1 and follows from the
 * others.
 * x any dtype [...] -> [shape].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the element counts differ.
 */
export function reshape(x: Value, shape: Shape): Value {
  return x.tracer.call('reshape', [x], { shape: completeShape(x.shape, shape) })[0] as Value;
}

function completeShape(from: Shape, to: Shape): Shape {
  const open = to.indexOf(-1);
  if (open < 0) return to;
  const others = elementCount(to.filter((_, axis) => axis !== open));
  const side = elementCount(from) / others;
  // Where it does not divide, -1 stays and the op's own rule refuses it.
  return Number.isSafeInteger(side) && others > 0 ? to.with(open, side) : to;
}

export const reshapeOp: OpDefinition = {
  name: 'reshape',
  infer(inputs, attributes) {
    const [x] = inputs;
    if (inputs.length !== 1 || !x) refuseShape('reshape', 'takes 1 input (x)', inputs);
    const shape = listAttribute('reshape', attributes, 'shape');
    if (shape.some((side) => !Number.isSafeInteger(side) || side < 0)) {
      refuseAttribute(
        'reshape',
        'shape',
        shape,
        `a list of sides that ${elementCount(x.shape)} elements fill`,
      );
    }
    if (elementCount(shape) !== elementCount(x.shape)) {
      const message = `shape [${shape.join(',')}] has ${elementCount(shape)} elements, x has ${elementCount(x.shape)}`;
      refuseShape('reshape', message, inputs);
    }
    return [{ shape, dtype: x.dtype }];
  },
  reference() {
    // The output is the memory of the input.
  },
  gradient: ([dy], { inputs }) => [reshape(dy as Value, (inputs[0] as Value).shape)],
  aliasesInput: true,
};
