import type { Tolerance } from './op-case.js';

/** Nothing is computed, or each element is rounded once. */
export const exact: Tolerance = {
  absolute: 0,
  relative: 0,
  reason: 'moves or rounds elements, nothing is summed',
};

export const oneRounding: Tolerance = {
  absolute: 2e-7,
  relative: 1.5e-7,
  reason: 'one or two f32 operations per element',
};

export const transcendental: Tolerance = {
  absolute: 5e-7,
  relative: 5e-7,
  reason: 'a vectorised exp, erf, sin or log of a few f32 ulp',
};

export const summed: Tolerance = {
  absolute: 4e-6,
  relative: 4e-6,
  reason: 'f32 sums of up to a thousand products of about unit result, any fixed order',
};
