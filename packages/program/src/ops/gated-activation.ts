import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { activationFunction, type ActivationKind } from './activation-kind.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';
import { gatedActivationGradient } from './gated-activation-gradient.js';

/**
 * act(gate) · up, element by element: SwiGLU with `silu`, GEGLU with `gelu` (Shazeer 2020).
 * gate f32[...,F], up f32[...,F] -> f32[...,F].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the shapes differ.
 */
export function gatedActivation(gate: Value, up: Value, kind: ActivationKind): Value {
  return gate.tracer.call('gatedActivation', [gate, up], { activation: kind })[0] as Value;
}

const bind = inputSignature<'F'>('gatedActivation', 'gate f32[...,F]', 'up f32[...,F]');

export const gatedActivationOp: OpDefinition = {
  name: 'gatedActivation',
  recomputed: 'always',
  infer(inputs, attributes) {
    activationFunction('gatedActivation', attributes);
    const { F, rest } = bind(inputs);
    return [{ shape: [...rest, F], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const activate = activationFunction('gatedActivation', attributes);
    const [gate, up] = [floats(present(inputs, 0)), floats(present(inputs, 1))];
    const out = floats(outputs[0] as Tensor);
    for (let i = 0; i < out.length; i++) out[i] = activate(gate[i] as number) * (up[i] as number);
  },
  gradient([dy], { inputs, attributes }) {
    const [gate, up] = inputs as readonly [Value, Value];
    const kind = attributes['activation'] as ActivationKind;
    const towards = gatedActivationGradient(gate, up, dy as Value, kind);
    return [towards.gate, towards.up];
  },
};
