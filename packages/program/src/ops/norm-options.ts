// Options of the normalisations and their gradients, and how they are checked.
import { integerAttribute, numberAttribute, refuseAttribute, refuseShape, type InputTypes } from '../op.js';
import type { Attributes } from '../program.js';
import type { ActivationKind } from './activation-kind.js';

export interface NormOptions {
  /** Added to the mean square (or the variance) before the root. */
  readonly epsilon: number;
}

/** The `epsilon` attribute of a normalisation: finite and not negative. */
export function epsilonAttribute(op: string, attributes: Attributes): number {
  const epsilon = numberAttribute(op, attributes, 'epsilon');
  if (epsilon < 0) refuseAttribute(op, 'epsilon', epsilon, 'a number of at least 0');
  return epsilon;
}

export interface GroupNormOptions extends NormOptions {
  readonly groups: number;
  /** Applied to the normalised result. */
  readonly activation?: ActivationKind;
}

/** Refuses a number of groups that does not divide the channels. */
export function checkedGroups(
  op: string,
  attributes: Attributes,
  channels: number,
  inputs: InputTypes,
): void {
  const groups = integerAttribute(op, attributes, 'groups', 1);
  if (channels % groups !== 0)
    refuseShape(op, `groups ${groups} does not divide ${channels} channels`, inputs);
}
