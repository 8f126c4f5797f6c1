import { numberAttribute, refuseAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { floats, indices, present } from './tensor-access.js';

export interface RotaryOptions {
  /** Base of the wave lengths; 10000 for LLaMA. */
  readonly theta: number;
  /** Rotates the other way, by minus the angle: what undoes a rotation, and its gradient. Default false. */
  readonly inverse?: boolean;
}

/**
 * Rotates pairs (i, i + K/2) of every head by position · theta^(-2i/K) (Su et al. 2021), in the halves layout of
 * LLaMA. The angle is a product of f32 numbers, its cosine and sine are rounded to f32.
 * x f32[R,H,K], position i32[R] -> f32[R,H,K].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if K is odd.
 */
export function rotaryEmbedding(x: Value, position: Value, options: RotaryOptions): Value {
  const { theta, inverse = false } = options;
  // Absent is 0, so programs without it print as they always did.
  const attributes = inverse ? { theta, inverse: 1 } : { theta };
  return x.tracer.call('rotaryEmbedding', [x, position], attributes)[0] as Value;
}

const bind = inputSignature<'R' | 'H' | 'K'>('rotaryEmbedding', 'x f32[R,H,K]', 'position i32[R]');

function thetaAttribute(attributes: Attributes): number {
  const theta = numberAttribute('rotaryEmbedding', attributes, 'theta');
  if (theta <= 0) refuseAttribute('rotaryEmbedding', 'theta', theta, 'a number above 0');
  return theta;
}

function isInverse(attributes: Attributes): boolean {
  const { inverse = 0 } = attributes;
  if (inverse !== 0 && inverse !== 1) refuseAttribute('rotaryEmbedding', 'inverse', inverse, '0 or 1');
  return inverse === 1;
}

export const rotaryEmbeddingOp: OpDefinition = {
  name: 'rotaryEmbedding',
  infer(inputs, attributes) {
    thetaAttribute(attributes);
    isInverse(attributes);
    const { R, H, K } = bind(inputs);
    if (K % 2 !== 0) refuseShape('rotaryEmbedding', `head width ${K} is odd`, inputs);
    return [{ shape: [R, H, K], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const theta = thetaAttribute(attributes);
    const direction = isInverse(attributes) ? -1 : 1;
    const { R, H, K } = bind(inputs);
    const [x, position] = [floats(present(inputs, 0)), indices(present(inputs, 1))];
    const out = floats(outputs[0] as Tensor);
    const half = K / 2;
    for (let row = 0; row < R; row++) {
      for (let i = 0; i < half; i++) {
        const frequency = Math.fround(theta ** ((-2 * i) / K));
        const angle = Math.fround(Math.fround(position[row] as number) * frequency);
        const [cosine, sine] = [Math.fround(Math.cos(angle)), direction * Math.fround(Math.sin(angle))];
        for (let head = 0; head < H; head++) {
          const at = (row * H + head) * K + i;
          const [first, second] = [x[at] as number, x[at + half] as number];
          out[at] = first * cosine - second * sine;
          out[at + half] = second * cosine + first * sine;
        }
      }
    }
  },
  gradient: ([dy], { inputs, attributes }) => {
    const [, position] = inputs as readonly [Value, Value];
    const options = { theta: thetaAttribute(attributes), inverse: !isInverse(attributes) };
    return [rotaryEmbedding(dy as Value, position, options), null];
  },
};
