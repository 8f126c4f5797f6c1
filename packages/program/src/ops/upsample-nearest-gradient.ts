import { integerAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';
import type { UpsampleOptions } from './upsample-nearest.js';

/**
 * The gradient of `upsampleNearest`: each pixel of the small picture gets the sum over its repetitions.
 * dy f32[B,h,w,C]; height and width: sides of the small picture -> f32[B,height,width,C].
 */
export function upsampleNearestGradient(dy: Value, options: UpsampleOptions): Value {
  const { height, width } = options;
  return dy.tracer.call('upsampleNearestGradient', [dy], { height, width })[0] as Value;
}

const bind = inputSignature<'B' | 'H' | 'W' | 'C'>('upsampleNearestGradient', 'dy f32[B,H,W,C]');

export const upsampleNearestGradientOp: OpDefinition = {
  name: 'upsampleNearestGradient',
  infer(inputs, attributes) {
    const height = integerAttribute('upsampleNearestGradient', attributes, 'height', 0);
    const width = integerAttribute('upsampleNearestGradient', attributes, 'width', 0);
    const { B, H, W, C } = bind(inputs);
    if ((height === 0 && H > 0) || (width === 0 && W > 0)) {
      const message = `a picture ${height}x${width} has no pixels that fill ${H}x${W}`;
      refuseShape('upsampleNearestGradient', message, inputs);
    }
    return [{ shape: [B, height, width, C], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { B, H, W, C } = bind(inputs);
    const output = outputs[0] as Tensor;
    const [, height, width] = output.shape as [number, number, number, number];
    const dy = floats(present(inputs, 0));
    const sums = new Float64Array(output.data.length);
    for (let b = 0; b < B; b++) {
      for (let i = 0; i < H; i++) {
        const row = Math.floor((i * height) / H);
        for (let j = 0; j < W; j++) {
          const to = ((b * height + row) * width + Math.floor((j * width) / W)) * C;
          const from = ((b * H + i) * W + j) * C;
          for (let c = 0; c < C; c++) sums[to + c] = (sums[to + c] as number) + (dy[from + c] as number);
        }
      }
    }
    floats(output).set(sums);
  },
  gradient: ([dy], { inputs }) => {
    const [x] = inputs as readonly [Value];
    // By name: upsampleNearest has this op for its gradient, and its file imports this one.
    return x.tracer.call('upsampleNearest', [dy as Value], { height: x.side(1), width: x.side(2) });
  },
};
