import { integerAttribute, numberAttribute, refuseAttribute, refuseShape, type OpDefinition } from '../op.js';
import { philoxBlock } from '../philox.js';
import type { Attributes } from '../program.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { floats, indices, present } from './tensor-access.js';

export interface DropoutOptions {
  /** Probability that an element becomes 0; 0..1, 1 excluded. */
  readonly rate: number;
  /** Tells the places of a program apart that draw with one key; a whole number of 32 bits. */
  readonly stream: number;
}

/**
 * Sets elements to 0 with probability `rate` and scales the others by f32(1 / (1 - rate)) (Srivastava et al. 2014).
 * Element i is kept if word i mod 4 of the Philox4x32-10 block with counter (i div 4 low, high, stream, 0) is at
 * least rate · 2^32, so the choice is the same on every backend and can be made again in the backward pass.
 * x f32[...], key i32[2] (bits of the seed, low word first) -> f32[...].
 * @throws EmuError INVALID_OPTION if rate or stream is out of range.
 */
export function dropout(x: Value, key: Value, options: DropoutOptions): Value {
  const { rate, stream } = options;
  return x.tracer.call('dropout', [x, key], { rate, stream })[0] as Value;
}

const bind = inputSignature<'N'>('dropout', 'x f32[...]', 'key i32[N]');

function rateAttribute(attributes: Attributes): number {
  const rate = numberAttribute('dropout', attributes, 'rate');
  if (rate < 0 || rate >= 1) refuseAttribute('dropout', 'rate', rate, 'a number in 0..1, 1 excluded');
  return rate;
}

function streamAttribute(attributes: Attributes): number {
  const stream = integerAttribute('dropout', attributes, 'stream', 0);
  if (stream > 0xffffffff) refuseAttribute('dropout', 'stream', stream, 'an integer below 2^32');
  return stream;
}

export const dropoutOp: OpDefinition = {
  name: 'dropout',
  infer(inputs, attributes) {
    rateAttribute(attributes);
    streamAttribute(attributes);
    const { N, rest } = bind(inputs);
    if (N !== 2) refuseShape('dropout', `key has ${N} words, needs 2`, inputs);
    return [{ shape: rest, dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const [rate, stream] = [rateAttribute(attributes), streamAttribute(attributes)];
    const [low = 0, high = 0] = indices(present(inputs, 1));
    const [x, out] = [floats(present(inputs, 0)), floats(outputs[0] as Tensor)];
    const threshold = Math.floor(rate * 2 ** 32);
    const factor = Math.fround(1 / (1 - rate));
    for (let block = 0; block * 4 < x.length; block++) {
      const counter = [block >>> 0, Math.floor(block / 2 ** 32), stream, 0] as const;
      philoxBlock(counter, [low >>> 0, high >>> 0]).forEach((word, index) => {
        const at = block * 4 + index;
        if (at < x.length && word >= threshold) out[at] = (x[at] as number) * factor;
      });
    }
  },
  gradient: ([dy], { inputs, attributes }) => {
    const [, key] = inputs as readonly [Value, Value];
    const options = { rate: rateAttribute(attributes), stream: streamAttribute(attributes) };
    return [dropout(dy as Value, key, options), null];
  },
};
