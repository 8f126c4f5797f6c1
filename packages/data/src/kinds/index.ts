import type { SampleKind } from '../sample.js';
import { planPair } from './pair.js';
import type { Planner } from './plan.js';

/** How each kind of sample is made. */
export const planners: Readonly<Partial<Record<SampleKind, Planner>>> = {
  pair: planPair,
};
