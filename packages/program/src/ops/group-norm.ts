import { integerAttribute, type OpDefinition } from '../op.js';
import { elementCount, type Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { activationFunction, type ActivationKind } from './activation-kind.js';
import { checkedGroups, epsilonAttribute, type GroupNormOptions } from './norm-options.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';
import { groupNormGradient } from './group-norm-gradient.js';

/**
 * act((x - mean) / sqrt(variance + epsilon) · weight + bias), channels last, with mean and biased variance over all
 * middle axes and the channels of a group (Wu and He 2018).
 * x f32[B,...,C], weight f32[C], bias f32[C] -> f32[B,...,C].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if groups does not divide C.
 */
export function groupNorm(x: Value, weight: Value, bias: Value, options: GroupNormOptions): Value {
  const { groups, epsilon, activation = 'none' } = options;
  return x.tracer.call('groupNorm', [x, weight, bias], { groups, epsilon, activation })[0] as Value;
}

const bind = inputSignature<'B' | 'C'>('groupNorm', 'x f32[B,...,C]', 'weight f32[C]', 'bias f32[C]');

export const groupNormOp: OpDefinition = {
  name: 'groupNorm',
  recomputed: 'always',
  infer(inputs, attributes) {
    activationFunction('groupNorm', attributes);
    epsilonAttribute('groupNorm', attributes);
    const { B, C, rest } = bind(inputs);
    checkedGroups('groupNorm', attributes, C, inputs);
    return [{ shape: [B, ...rest, C], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const activate = activationFunction('groupNorm', attributes);
    const epsilon = epsilonAttribute('groupNorm', attributes);
    const groups = integerAttribute('groupNorm', attributes, 'groups', 1);
    const { B, C, rest } = bind(inputs);
    const places = elementCount(rest);
    const [x, weight, bias] = [0, 1, 2].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const out = floats(outputs[0] as Tensor);
    const width = C / groups;
    for (let b = 0; b < B; b++) {
      for (let group = 0; group < groups; group++) {
        const at = (place: number, c: number): number => (b * places + place) * C + group * width + c;
        const over = (term: (value: number) => number): number => {
          let sum = 0;
          for (let place = 0; place < places; place++) {
            for (let c = 0; c < width; c++) sum += term(x[at(place, c)] as number);
          }
          return sum / (places * width);
        };
        const mean = over((value) => value);
        const factor = 1 / Math.sqrt(over((value) => (value - mean) ** 2) + epsilon);
        for (let place = 0; place < places; place++) {
          for (let c = 0; c < width; c++) {
            const [index, channel] = [at(place, c), group * width + c];
            const normal = ((x[index] as number) - mean) * factor;
            out[index] = activate(normal * (weight[channel] as number) + (bias[channel] as number));
          }
        }
      }
    }
  },
  gradient([dy], { inputs, attributes }) {
    const [x, weight, bias] = inputs as readonly [Value, Value, Value];
    const { dx, dweight, dbias } = groupNormGradient(x, weight, bias, dy as Value, {
      groups: integerAttribute('groupNorm', attributes, 'groups', 1),
      epsilon: epsilonAttribute('groupNorm', attributes),
      activation: attributes['activation'] as ActivationKind,
    });
    return [dx, dweight, dbias];
  },
};
