import { integerAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';
import { upsampleNearestGradient } from './upsample-nearest-gradient.js';

export interface UpsampleOptions {
  /** Rows of the result. */
  readonly height: number;
  /** Columns of the result. */
  readonly width: number;
}

/**
 * Repeats pixels: row i of the result is row floor(i · H / height) of x, columns alike. Smaller sizes than x's drop
 * pixels by the same rule.
 * x f32[B,H,W,C] -> f32[B,height,width,C].
 */
export function upsampleNearest(x: Value, options: UpsampleOptions): Value {
  const { height, width } = options;
  return x.tracer.call('upsampleNearest', [x], { height, width })[0] as Value;
}

const bind = inputSignature<'B' | 'H' | 'W' | 'C'>('upsampleNearest', 'x f32[B,H,W,C]');

export const upsampleNearestOp: OpDefinition = {
  name: 'upsampleNearest',
  infer(inputs, attributes) {
    const height = integerAttribute('upsampleNearest', attributes, 'height', 0);
    const width = integerAttribute('upsampleNearest', attributes, 'width', 0);
    const { B, H, W, C } = bind(inputs);
    if ((H === 0 && height > 0) || (W === 0 && width > 0)) {
      refuseShape('upsampleNearest', `a picture ${H}x${W} has no pixels to fill ${height}x${width}`, inputs);
    }
    return [{ shape: [B, height, width, C], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { B, H, W, C } = bind(inputs);
    const output = outputs[0] as Tensor;
    const [, height, width] = output.shape as [number, number, number, number];
    const [x, out] = [floats(present(inputs, 0)), floats(output)];
    for (let b = 0; b < B; b++) {
      for (let i = 0; i < height; i++) {
        const row = Math.floor((i * H) / height);
        for (let j = 0; j < width; j++) {
          const from = ((b * H + row) * W + Math.floor((j * W) / width)) * C;
          out.set(x.subarray(from, from + C), ((b * height + i) * width + j) * C);
        }
      }
    }
  },
  gradient([dy], { inputs }) {
    const x = inputs[0] as Value;
    return [upsampleNearestGradient(dy as Value, { height: x.side(1), width: x.side(2) })];
  },
};
