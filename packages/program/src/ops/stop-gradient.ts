import { refuseShape, type OpDefinition } from '../op.js';
import type { Value } from '../trace.js';

/** x itself, through which no gradient flows; no copy. x any dtype [...] -> the same. */
export function stopGradient(x: Value): Value {
  return x.tracer.call('stopGradient', [x])[0] as Value;
}

export const stopGradientOp: OpDefinition = {
  name: 'stopGradient',
  infer(inputs) {
    const [x] = inputs;
    if (inputs.length !== 1 || !x) refuseShape('stopGradient', 'takes 1 input (x)', inputs);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference() {
    // The output is the memory of the input.
  },
  gradient: () => [null],
  aliasesInput: true,
};
