import { EmuError } from '@emu/program';

/**
 * How the squared differences between predicted and true visual embeddings become one number:
 * - `mean`: mean over positions and dimensions.
 * - `sum_over_dim_mean_over_positions`: the mean times the width.
 * - `l2_norm`: mean over positions of the Euclidean length of the difference.
 */
export const visualReductions = ['mean', 'sum_over_dim_mean_over_positions', 'l2_norm'] as const;
export type VisualReduction = (typeof visualReductions)[number];

/**
 * Choices of the unified objective. Neither the paper nor the released code states reduction and weight of the visual
 * term; the defaults are ours.
 */
export interface ObjectiveOptions {
  /** Factor of the visual term in the sum; 1 by default. 0 leaves it out of the program: text only. */
  readonly visualWeight?: number;
  /** `mean` by default. */
  readonly visualReduction?: VisualReduction;
}

/** Options with their defaults. */
export type Objective = Required<ObjectiveOptions>;

/** @throws EmuError INVALID_OPTION for a weight below 0 or a reduction of another name. */
export function objectiveOf({ visualWeight = 1, visualReduction = 'mean' }: ObjectiveOptions): Objective {
  if (!Number.isFinite(visualWeight) || visualWeight < 0) {
    throw new EmuError(
      'INVALID_OPTION',
      `[objective] visualWeight must be a number of at least 0, got ${visualWeight}`,
      { details: { visualWeight } },
    );
  }
  if (!visualReductions.includes(visualReduction)) {
    throw new EmuError(
      'INVALID_OPTION',
      `[objective] visualReduction ${JSON.stringify(visualReduction)} is none of ${visualReductions.join(', ')}`,
      { details: { visualReduction } },
    );
  }
  return { visualWeight, visualReduction };
}
