import { refuseShape, type InputTypes } from '../op.js';
import { elementCount, sameShape, type Shape, type TensorType } from '../tensor.js';
import type { Value } from '../trace.js';

/**
 * The type of `a` combined with a `b` that broadcasts to it: aligned at the right, every side of b equal to a's
 * or 1.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if b does not fit or either is not f32.
 */
export function broadcastType(op: string, inputs: InputTypes): TensorType {
  const [a, b] = inputs;
  if (inputs.length !== 2 || !a || !b) refuseShape(op, 'takes 2 inputs (a, b)', inputs);
  if (a.dtype !== 'f32' || b.dtype !== 'f32') refuseShape(op, 'a and b must be f32', inputs);
  const missing = a.shape.length - b.shape.length;
  const fits = missing >= 0 && b.shape.every((side, axis) => side === 1 || side === a.shape[axis + missing]);
  if (!fits)
    refuseShape(op, `b [${b.shape.join(',')}] does not broadcast to a [${a.shape.join(',')}]`, inputs);
  return { shape: a.shape, dtype: 'f32' };
}

/** The gradient of an operand that was broadcast: that of the result, summed over the repetitions. */
export function summedTo(gradient: Value, operand: Value): Value {
  if (sameShape(gradient.shape, operand.shape)) return gradient;
  // By name: each of sumTo and add is in the other's gradient, and their files cannot both import the other.
  return gradient.tracer.call('sumTo', [gradient], { shape: [...operand.shape] })[0] as Value;
}

/** Calls `visit` for every element of `a` with the index of the element of `b` that belongs to it. */
export function forEachBroadcast(a: Shape, b: Shape, visit: (aIndex: number, bIndex: number) => void): void {
  const missing = a.length - b.length;
  const strides = a.map((_, axis) => {
    const side = b[axis - missing];
    return side === undefined || side === 1 ? 0 : elementCount(b.slice(axis - missing + 1));
  });
  forEachStrided(a, strides, visit);
}

/** Walks `shape` in row-major order and gives, beside the running index, the index under other strides. */
export function forEachStrided(
  shape: Shape,
  strides: readonly number[],
  visit: (index: number, strided: number) => void,
): void {
  const count = elementCount(shape);
  const position = new Array<number>(shape.length).fill(0);
  let strided = 0;
  for (let index = 0; index < count; index++) {
    visit(index, strided);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [side, stride] = [shape[axis] as number, strides[axis] as number];
      const next = (position[axis] as number) + 1;
      strided += stride;
      position[axis] = next;
      if (next < side) break;
      strided -= stride * side;
      position[axis] = 0;
    }
  }
}
