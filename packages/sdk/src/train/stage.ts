import type { z } from 'zod';

import type { Recipe } from './recipe/schema.js';
import type { TrainingTask } from './task.js';

export interface StageContext {
  /** Folder of the recipe file: relative paths in a recipe start there. */
  readonly recipeFolder: string;
  /** True for a plan: the task's parameters and programs are needed, no data and no weights are opened. */
  readonly planOnly: boolean;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/**
 * A stage of training: its own recipe keys beside those of every recipe, and how its task is made.
 * The keys of `options` stand at the top level of the recipe file; each says in `.describe()` what it means.
 */
export interface StageDefinition<Options extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** One line for help texts. */
  readonly summary: string;
  readonly options: Options;
  /**
   * @throws EmuError for options that contradict each other, missing models or data.
   */
  createTask(recipe: Recipe & z.output<Options>, context: StageContext): Promise<TrainingTask>;
}

/** Keeps the type of the options while the definition is checked. */
export function defineStage<Options extends z.ZodObject>(
  definition: StageDefinition<Options>,
): StageDefinition<Options> {
  return definition;
}
