import { listAttribute, refuseAttribute, type OpDefinition } from '../op.js';
import { elementCount, type Tensor, type TensorType } from '../tensor.js';
import type { Attributes } from '../program.js';
import type { Value } from '../trace.js';
import { normalAxis, onlyFloatInput } from './axis.js';
import { forEachStrided } from './broadcast.js';
import { floats, present } from './tensor-access.js';

/**
 * Reorders axes: axis i of the result is axis axes[i] of x. Negative axes count from the end.
 * x f32[...] -> f32[...].
 * @throws EmuError INVALID_OPTION unless axes names every axis of x once.
 */
export function permute(x: Value, axes: readonly number[]): Value {
  const normal = axes.map((axis) => normalAxis('permute', axis, x));
  return x.tracer.call('permute', [x], { axes: normal })[0] as Value;
}

function axesAttribute(attributes: Attributes, x: TensorType): readonly number[] {
  const axes = listAttribute('permute', attributes, 'axes');
  const named = new Set(axes);
  const complete = axes.length === x.shape.length && x.shape.every((_, axis) => named.has(axis));
  if (!complete) refuseAttribute('permute', 'axes', axes, `each of 0..${x.shape.length - 1} once`);
  return axes;
}

export const permuteOp: OpDefinition = {
  name: 'permute',
  infer(inputs, attributes) {
    const x = onlyFloatInput('permute', inputs);
    const axes = axesAttribute(attributes, x);
    return [{ shape: axes.map((axis) => x.shape[axis] as number), dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const source = present(inputs, 0);
    const strides = axesAttribute(attributes, source).map((axis) =>
      elementCount(source.shape.slice(axis + 1)),
    );
    const [x, output] = [floats(source), outputs[0] as Tensor];
    const out = floats(output);
    forEachStrided(output.shape, strides, (index, from) => {
      out[index] = x[from] as number;
    });
  },
  gradient([dy], { inputs, attributes }) {
    const axes = axesAttribute(attributes, inputs[0] as Value);
    return [
      permute(
        dy as Value,
        axes.map((_, axis) => axes.indexOf(axis)),
      ),
    ];
  },
};
