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
  /** Factor of reading pixels off visual embeddings, see reconstruction.ts; 0 by default, without that term. */
  readonly reconstructionWeight?: number;
}

/** Options with their defaults. */
export type Objective = Required<ObjectiveOptions>;

function checkedWeight(name: string, weight: number): number {
  if (Number.isFinite(weight) && weight >= 0) return weight;
  throw new EmuError('INVALID_OPTION', `[objective] ${name} must be a number of at least 0, got ${weight}`, {
    details: { [name]: weight },
  });
}

/** @throws EmuError INVALID_OPTION for a weight below 0 or a reduction of another name. */
export function objectiveOf(options: ObjectiveOptions): Objective {
  const { visualReduction = 'mean' } = options;
  if (!visualReductions.includes(visualReduction)) {
    throw new EmuError(
      'INVALID_OPTION',
      `[objective] visualReduction ${JSON.stringify(visualReduction)} is none of ${visualReductions.join(', ')}`,
      { details: { visualReduction } },
    );
  }
  return {
    visualWeight: checkedWeight('visualWeight', options.visualWeight ?? 1),
    visualReduction,
    reconstructionWeight: checkedWeight('reconstructionWeight', options.reconstructionWeight ?? 0),
  };
}
