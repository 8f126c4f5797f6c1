import { drawSample, type DrawnRecipe } from '../drawn-sample.js';
import type { Sample } from '../sample.js';

/** A run of samples to make. */
export interface DrawnTask {
  readonly recipe: DrawnRecipe;
  readonly first: number;
  readonly count: number;
}

/** What a worker thread does. */
export default function drawTask({ recipe, first, count }: DrawnTask): Sample[] {
  return Array.from({ length: count }, (_, at) => drawSample(recipe, first + at));
}
