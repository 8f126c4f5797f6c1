import { integerAttribute, refuseAttribute, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { aroundAxis, axisAttribute, normalAxis, onlyFloatInput } from './axis.js';
import { floats, present } from './tensor-access.js';

export interface SliceOptions {
  /** Negative counts from the end. */
  readonly axis: number;
  /** First index kept; negative counts from the end of the axis. */
  readonly start: number;
  /** How many are kept. */
  readonly length: number;
}

/**
 * Indices start..start+length-1 of one axis.
 * x f32[...] -> f32[...] with that side `length`.
 * @throws EmuError INVALID_OPTION if they are not all there.
 */
export function slice(x: Value, options: SliceOptions): Value {
  const axis = normalAxis('slice', options.axis, x);
  const start = options.start < 0 ? options.start + x.side(axis) : options.start;
  return x.tracer.call('slice', [x], { axis, start, length: options.length })[0] as Value;
}

export const sliceOp: OpDefinition = {
  name: 'slice',
  infer(inputs, attributes) {
    const x = onlyFloatInput('slice', inputs);
    const axis = axisAttribute('slice', attributes, x);
    const start = integerAttribute('slice', attributes, 'start', 0);
    const length = integerAttribute('slice', attributes, 'length', 0);
    const side = x.shape[axis] as number;
    if (start + length > side) {
      refuseAttribute(
        'slice',
        'length',
        length,
        `at most ${side - start}, axis ${axis} has ${side} from ${start}`,
      );
    }
    return [{ shape: x.shape.with(axis, length), dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const source = present(inputs, 0);
    const axis = axisAttribute('slice', attributes, source);
    const start = integerAttribute('slice', attributes, 'start', 0);
    const length = integerAttribute('slice', attributes, 'length', 0);
    const { outer, inner } = aroundAxis(source.shape, axis);
    const side = source.shape[axis] as number;
    const [x, out] = [floats(source), floats(outputs[0] as Tensor)];
    for (let o = 0; o < outer; o++) {
      const from = (o * side + start) * inner;
      out.set(x.subarray(from, from + length * inner), o * length * inner);
    }
  },
  gradient: ([dy], { inputs, attributes }) => [
    {
      axis: axisAttribute('slice', attributes, inputs[0] as Value),
      start: integerAttribute('slice', attributes, 'start', 0),
      part: dy as Value,
    },
  ],
};
