import { refuseShape, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import type { MatmulOptions } from './matmul.js';
import { eachProduct, productOf, productSides } from './product.js';
import { floats, present } from './tensor-access.js';

/**
 * state = state + a b: the gradient of a weight goes where it is summed without being a value of its own. The sum over
 * the inner side is complete before it meets the state.
 * state f32[M,N] (a state), a and b as `matmul` takes them -> the state, updated in place.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the inner sides differ or the product is not like the state.
 */
export function accumulateMatmul(state: Value, a: Value, b: Value, options: MatmulOptions = {}): Value {
  const { transposeA = false, transposeB = false, precision = 'f32' } = options;
  const attributes = { transposeA: transposeA ? 1 : 0, transposeB: transposeB ? 1 : 0, precision };
  return state.tracer.call('accumulateMatmul', [state, a, b], attributes)[0] as Value;
}

const sidesOf = productSides('accumulateMatmul');

export const accumulateMatmulOp: OpDefinition = {
  name: 'accumulateMatmul',
  infer(inputs, attributes) {
    const [state, ...factors] = inputs;
    if (inputs.length !== 3 || !state)
      refuseShape('accumulateMatmul', 'takes 3 inputs (state, a, b)', inputs);
    const { M, N } = sidesOf(factors, productOf('accumulateMatmul', attributes));
    if (state.dtype !== 'f32' || state.shape.join() !== `${M},${N}`) {
      refuseShape('accumulateMatmul', `the product is f32[${M},${N}], which is not like the state`, inputs);
    }
    return [{ shape: state.shape, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const product = productOf('accumulateMatmul', attributes);
    const state = floats(outputs[0] as Tensor);
    const [a, b] = [present(inputs, 1), present(inputs, 2)];
    eachProduct(a, b, product, sidesOf([a, b], product), (index, sum) => {
      state[index] = (state[index] as number) + sum;
    });
  },
  gradient: { because: 'it changes a state between steps; a loss does not depend on it' },
  aliasesInput: true,
  updatesState: [0],
};
