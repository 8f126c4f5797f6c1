import { refuseAttribute } from '../op.js';
import type { Attributes } from '../program.js';

/** `gelu` is the exact form with erf; `quickGelu` is x·sigmoid(1.702x), as in CLIP; `silu` is x·sigmoid(x). */
export type ActivationKind = 'none' | 'gelu' | 'quickGelu' | 'relu' | 'silu';

const scalarFunctions: Readonly<Record<ActivationKind, (x: number) => number>> = {
  none: (x) => x,
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  quickGelu: (x) => x / (1 + Math.exp(-1.702 * x)),
  relu: (x) => Math.max(x, 0),
  silu: (x) => x / (1 + Math.exp(-x)),
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const scalarDerivatives: Readonly<Record<ActivationKind, (x: number) => number>> = {
  none: () => 1,
  gelu: (x) => 0.5 * (1 + erf(x * Math.SQRT1_2)) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
  quickGelu: (x) => sigmoid(1.702 * x) * (1 + 1.702 * x * sigmoid(-1.702 * x)),
  relu: (x) => (x > 0 ? 1 : 0),
  silu: (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
};

/** The activation that an op's `activation` attribute names. */
function activationKind(op: string, attributes: Attributes): ActivationKind {
  const kind = attributes['activation'];
  if (typeof kind !== 'string' || !Object.hasOwn(scalarFunctions, kind)) {
    refuseAttribute(op, 'activation', kind, `one of ${Object.keys(scalarFunctions).join(', ')}`);
  }
  return kind as ActivationKind;
}

/** The scalar function an op's `activation` attribute names. */
export function activationFunction(op: string, attributes: Attributes): (x: number) => number {
  return scalarFunctions[activationKind(op, attributes)];
}

/** The derivative of that function; relu's is 0 at 0, as in PyTorch. */
export function activationDerivative(op: string, attributes: Attributes): (x: number) => number {
  return scalarDerivatives[activationKind(op, attributes)];
}

/**
 * The error function to about 1e-15: the Taylor series where it converges fast, else the continued fraction of
 * the complement (Abramowitz and Stegun 7.1.5 and 7.1.14).
 */
export function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (Number.isNaN(x)) return NaN;
  if (magnitude > 6) return Math.sign(x);
  if (magnitude < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (magnitude + fraction);
  const complement = Math.exp(-magnitude * magnitude) / (Math.sqrt(Math.PI) * (magnitude + fraction));
  return Math.sign(x) * (1 - complement);
}
