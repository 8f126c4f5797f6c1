import { integerAttribute, type OpDefinition } from '../op.js';
import { elementCount, type Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { activationDerivative } from './activation-kind.js';
import type { NormGradients } from './layer-norm-gradient.js';
import { checkedGroups, epsilonAttribute, type GroupNormOptions } from './norm-options.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/**
 * The gradients of `groupNorm`, its activation included. With f = 1 / sqrt(variance + epsilon), n = (x - mean) f and
 * e = dy act'(n weight + bias), means being over the places and channels of a group:
 * dx = f (weight e - mean(weight e) - n mean(weight e n)), dweight = Σ e n and dbias = Σ e over batch and places.
 * x f32[B,...,C], weight f32[C], bias f32[C], dy f32[B,...,C] -> dx f32[B,...,C], dweight f32[C], dbias f32[C].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if groups does not divide C.
 */
export function groupNormGradient(
  x: Value,
  weight: Value,
  bias: Value,
  dy: Value,
  options: GroupNormOptions,
): NormGradients {
  const { groups, epsilon, activation = 'none' } = options;
  const [dx, dweight, dbias] = x.tracer.call('groupNormGradient', [x, weight, bias, dy], {
    groups,
    epsilon,
    activation,
  }) as [Value, Value, Value];
  return { dx, dweight, dbias };
}

const bind = inputSignature<'B' | 'C'>(
  'groupNormGradient',
  'x f32[B,...,C]',
  'weight f32[C]',
  'bias f32[C]',
  'dy f32[B,...,C]',
);

export const groupNormGradientOp: OpDefinition = {
  name: 'groupNormGradient',
  infer(inputs, attributes) {
    activationDerivative('groupNormGradient', attributes);
    epsilonAttribute('groupNormGradient', attributes);
    const { B, C, rest } = bind(inputs);
    checkedGroups('groupNormGradient', attributes, C, inputs);
    return [
      { shape: [B, ...rest, C], dtype: 'f32' },
      { shape: [C], dtype: 'f32' },
      { shape: [C], dtype: 'f32' },
    ];
  },
  reference(inputs, attributes, outputs) {
    const derivative = activationDerivative('groupNormGradient', attributes);
    const epsilon = epsilonAttribute('groupNormGradient', attributes);
    const groups = integerAttribute('groupNormGradient', attributes, 'groups', 1);
    const { B, C, rest } = bind(inputs);
    const [places, width] = [elementCount(rest), C / groups];
    const [x, weight, bias, dy] = [0, 1, 2, 3].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [dx, dweight, dbias] = outputs.map((output: Tensor) => floats(output)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [weightSums, biasSums] = [new Float64Array(C), new Float64Array(C)];
    for (let b = 0; b < B; b++) {
      for (let group = 0; group < groups; group++) {
        const each = (visit: (index: number, channel: number) => void): void => {
          for (let place = 0; place < places; place++) {
            for (let c = group * width; c < (group + 1) * width; c++) visit((b * places + place) * C + c, c);
          }
        };
        const average = (term: (index: number, channel: number) => number): number => {
          let sum = 0;
          each((index, channel) => (sum += term(index, channel)));
          return sum / (places * width);
        };
        const mean = average((index) => x[index] as number);
        const factor = 1 / Math.sqrt(average((index) => ((x[index] as number) - mean) ** 2) + epsilon);
        const normal = (index: number): number => ((x[index] as number) - mean) * factor;
        const error = (index: number, c: number): number =>
          (dy[index] as number) * derivative(normal(index) * (weight[c] as number) + (bias[c] as number));
        const slope = (index: number, c: number): number => (weight[c] as number) * error(index, c);
        const level = average(slope);
        const along = average((index, c) => slope(index, c) * normal(index));
        each((index, c) => {
          dx[index] = factor * (slope(index, c) - level - normal(index) * along);
          weightSums[c] = (weightSums[c] as number) + error(index, c) * normal(index);
          biasSums[c] = (biasSums[c] as number) + error(index, c);
        });
      }
    }
    dweight.set(weightSums);
    dbias.set(biasSums);
  },
  gradient: { because: 'second derivatives are not needed for training' },
};
