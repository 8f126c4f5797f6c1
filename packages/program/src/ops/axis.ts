import { EmuError } from '../errors.js';
import { integerAttribute, refuseShape, type InputTypes } from '../op.js';
import type { Attributes } from '../program.js';
import { elementCount, typeText, type Shape, type TensorType } from '../tensor.js';

/**
 * An axis counted from the front; a negative one counts from the end.
 * @throws EmuError INVALID_OPTION if there is no such axis.
 */
export function normalAxis(op: string, axis: number, type: TensorType): number {
  const rank = type.shape.length;
  const normal = axis < 0 ? axis + rank : axis;
  if (Number.isSafeInteger(axis) && normal >= 0 && normal < rank) return normal;
  throw new EmuError('INVALID_OPTION', `[${op}] axis ${axis} is not an axis of ${typeText(type)}`, {
    details: { op, axis, rank },
  });
}

/** The `axis` attribute: a whole number that is an axis of `type`. */
export function axisAttribute(op: string, attributes: Attributes, type: TensorType): number {
  return normalAxis(op, integerAttribute(op, attributes, 'axis', 0), type);
}

/** The one input of an op that takes any f32 shape. */
export function onlyFloatInput(op: string, inputs: InputTypes): TensorType {
  const [x] = inputs;
  if (inputs.length !== 1 || !x) refuseShape(op, 'takes 1 input (x)', inputs);
  if (x.dtype !== 'f32') refuseShape(op, `x is ${x.dtype}, needs f32`, inputs);
  return x;
}

/** How many runs of how many elements lie before and after an axis in row-major order. */
export function aroundAxis(shape: Shape, axis: number): { outer: number; inner: number } {
  return { outer: elementCount(shape.slice(0, axis)), inner: elementCount(shape.slice(axis + 1)) };
}
