import { EmuError } from '../errors.js';
import { refuseShape, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/** The states of one parameter, f32 of one shape. */
export interface AdamwStates {
  readonly parameter: Value;
  /** Running mean of the gradient, zeros before the first step. */
  readonly moment1: Value;
  /** Running mean of the squared gradient, zeros before the first step. */
  readonly moment2: Value;
}

/**
 * One step of AdamW (Loshchilov and Hutter 2019) in the order of operations of torch.optim.AdamW:
 *
 *     g = gradient · gradientScale;  parameter ·= 1 - learningRate · weightDecay
 *     moment1 += (1 - beta1) (g - moment1);  moment2 = beta2 · moment2 + (1 - beta2) g²
 *     parameter -= learningRate / (1 - beta1^t) · moment1 / (sqrt(moment2) / sqrt(1 - beta2^t) + epsilon)
 *
 * states f32[...], gradient f32[...] of the same shape, hyper f32[8] as `adamwHyper` makes it -> the parameter; all three
 * states are updated in place.
 */
export function adamw(states: AdamwStates, gradient: Value, hyper: Value): Value {
  const { parameter, moment1, moment2 } = states;
  return parameter.tracer.call('adamw', [parameter, moment1, moment2, gradient, hyper])[0] as Value;
}

export interface AdamwNumbers {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Number of this step, from 1. */
  readonly step: number;
  /** What the gradient is multiplied by first: clipping, and the mean over accumulated batches. Default 1. */
  readonly gradientScale?: number;
}

/**
 * The input `hyper` of `adamw`: learningRate, beta1, beta2, epsilon, weightDecay, 1 - beta1^step, 1 - beta2^step,
 * gradientScale. The corrections are those of the betas rounded to f32, which are the ones that the moments see.
 * @throws EmuError INVALID_OPTION if a number is out of its range.
 */
export function adamwHyper(numbers: AdamwNumbers): Float32Array {
  const { learningRate, beta1, beta2, epsilon, weightDecay, step, gradientScale = 1 } = numbers;
  const atLeastZero = { learningRate, epsilon, weightDecay };
  for (const [name, value] of Object.entries(atLeastZero)) {
    if (!(value >= 0 && Number.isFinite(value))) refuse(name, value, 'a number of at least 0');
  }
  for (const [name, value] of Object.entries({ beta1, beta2 })) {
    if (!(value >= 0 && Math.fround(value) < 1)) refuse(name, value, 'a number in 0..1, 1 excluded');
  }
  if (!Number.isSafeInteger(step) || step < 1) refuse('step', step, 'an integer of at least 1');
  if (!Number.isFinite(gradientScale)) refuse('gradientScale', gradientScale, 'a finite number');
  const correction = (beta: number): number => 1 - Math.fround(beta) ** step;
  const corrections = [correction(beta1), correction(beta2)];
  return Float32Array.of(learningRate, beta1, beta2, epsilon, weightDecay, ...corrections, gradientScale);
}

function refuse(name: string, value: number, needed: string): never {
  throw new EmuError('INVALID_OPTION', `[adamw] ${name} ${value} is not ${needed}`, {
    details: { [name]: value },
  });
}

const bind = inputSignature<'N'>(
  'adamw',
  'parameter f32[...]',
  'moment1 f32[...]',
  'moment2 f32[...]',
  'gradient f32[...]',
  'hyper f32[N]',
);

export const adamwOp: OpDefinition = {
  name: 'adamw',
  infer(inputs) {
    const { N, rest } = bind(inputs);
    if (N !== 8) refuseShape('adamw', `hyper has ${N} numbers, needs 8`, inputs);
    return [{ shape: rest, dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const [moment1, moment2, gradient] = [1, 2, 3].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const parameter = floats(outputs[0] as Tensor);
    const [learningRate, beta1, beta2, epsilon, weightDecay, correction1, correction2, gradientScale] = [
      ...floats(present(inputs, 4)),
    ] as [number, number, number, number, number, number, number, number];
    const decay = 1 - learningRate * weightDecay;
    const stepSize = learningRate / correction1;
    for (let i = 0; i < parameter.length; i++) {
      const g = (gradient[i] as number) * gradientScale;
      const first = (moment1[i] as number) + (1 - beta1) * (g - (moment1[i] as number));
      const second = beta2 * (moment2[i] as number) + (1 - beta2) * g * g;
      const denominator = Math.sqrt(second) / Math.sqrt(correction2) + epsilon;
      parameter[i] = (parameter[i] as number) * decay - (stepSize * first) / denominator;
      moment1[i] = first;
      moment2[i] = second;
    }
  },
  gradient: { because: 'it is a step of the optimizer, which no loss depends on' },
  aliasesInput: true,
  updatesState: [0, 1, 2],
};
