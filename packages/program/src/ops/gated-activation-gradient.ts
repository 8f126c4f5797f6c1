import type { OpDefinition } from '../op.js';
import type { Value } from '../trace.js';
import { activationDerivative, activationFunction, type ActivationKind } from './activation-kind.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/** Gradients of the inputs of `gatedActivation`, each f32[...]. */
export interface GatedActivationGradients {
  /** dy · up · act'(gate) */
  readonly gate: Value;
  /** dy · act(gate) */
  readonly up: Value;
}

/**
 * The gradients of act(gate) · up.
 * gate, up, dy f32[...] of one shape -> two of the same.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the shapes differ.
 */
export function gatedActivationGradient(
  gate: Value,
  up: Value,
  dy: Value,
  kind: ActivationKind,
): GatedActivationGradients {
  const outputs = gate.tracer.call('gatedActivationGradient', [gate, up, dy], { activation: kind });
  const [dGate, dUp] = outputs as readonly [Value, Value];
  return { gate: dGate, up: dUp };
}

const bind = inputSignature<never>('gatedActivationGradient', 'gate f32[...]', 'up f32[...]', 'dy f32[...]');

export const gatedActivationGradientOp: OpDefinition = {
  name: 'gatedActivationGradient',
  infer(inputs, attributes) {
    activationFunction('gatedActivationGradient', attributes);
    const { rest } = bind(inputs);
    return [
      { shape: rest, dtype: 'f32' },
      { shape: rest, dtype: 'f32' },
    ];
  },
  reference(inputs, attributes, outputs) {
    const activate = activationFunction('gatedActivationGradient', attributes);
    const derivative = activationDerivative('gatedActivationGradient', attributes);
    const [gate, up, dy] = inputs.map((_, index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [dGate, dUp] = outputs.map(floats) as [Float32Array, Float32Array];
    for (let i = 0; i < dy.length; i++) {
      const [g, slope] = [gate[i] as number, dy[i] as number];
      dGate[i] = slope * (up[i] as number) * derivative(g);
      dUp[i] = slope * activate(g);
    }
  },
  gradient: { because: 'it is a gradient itself; second derivatives train no model here' },
};
