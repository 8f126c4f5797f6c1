import { numberAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Value } from '../trace.js';
import type { Tensor } from '../tensor.js';
import { floats, present } from './tensor-access.js';

export interface AccumulateOptions {
  /** What the old contents are multiplied by; 0 forgets them, NaN and infinities included. Default 1. */
  readonly keep?: number;
  /** What x is multiplied by. Default 1. */
  readonly factor?: number;
}

/**
 * state = keep · state + factor · x: sums of gradients over small batches, running averages of weights.
 * state f32[...] (a state), x f32[...] of the same shape -> the state, updated in place.
 */
export function accumulate(state: Value, x: Value, options: AccumulateOptions = {}): Value {
  const { keep = 1, factor = 1 } = options;
  return state.tracer.call('accumulate', [state, x], { keep, factor })[0] as Value;
}

export const accumulateOp: OpDefinition = {
  name: 'accumulate',
  infer(inputs, attributes) {
    numberAttribute('accumulate', attributes, 'keep');
    numberAttribute('accumulate', attributes, 'factor');
    const [state, x] = inputs;
    if (inputs.length !== 2 || !state || !x) refuseShape('accumulate', 'takes 2 inputs (state, x)', inputs);
    if (state.dtype !== 'f32' || x.dtype !== 'f32')
      refuseShape('accumulate', 'state and x must be f32', inputs);
    if (state.shape.join() !== x.shape.join()) {
      refuseShape(
        'accumulate',
        `x [${x.shape.join(',')}] is not like state [${state.shape.join(',')}]`,
        inputs,
      );
    }
    return [{ shape: state.shape, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const keep = numberAttribute('accumulate', attributes, 'keep');
    const factor = numberAttribute('accumulate', attributes, 'factor');
    const x = floats(present(inputs, 1));
    const state = floats(outputs[0] as Tensor);
    for (let i = 0; i < state.length; i++) {
      const added = factor * (x[i] as number);
      state[i] = keep === 0 ? added : keep * (state[i] as number) + added;
    }
  },
  gradient: { because: 'it changes a state between steps; a loss does not depend on it' },
  aliasesInput: true,
  updatesState: [0],
};
