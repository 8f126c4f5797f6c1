import { isAbsolute, join, resolve } from 'node:path';

import { EmuError } from '@emu/program';
import { z } from 'zod';

import type { Precision } from '../../nn/parameters.js';
import { ModelSource } from '../model/model-source.js';
import type { Recipe } from '../recipe/schema.js';
import type { StageContext } from '../stage.js';

/** Keys of every stage: where its model comes from and how it is written. */
export const modelOptions = z.strictObject({
  model: z
    .string()
    .min(1)
    .optional()
    .describe('sizes of a model to start from nothing; from the recipe file'),
  tokenizer: z.string().min(1).optional().describe('folder of its tokenizer.json; from the recipe file'),
  from: z
    .string()
    .min(1)
    .optional()
    .describe(
      'model folder to start from instead, such as `model` of an earlier run; from where the command runs',
    ),
  save_dtype: z
    .enum(['f32', 'bf16'])
    .default('f32')
    .describe('element type of the matrices that are written'),
  samples: z
    .int()
    .min(0)
    .max(64)
    .default(4)
    .describe('fixed held-out samples that are shown as training goes on'),
});
export type ModelOptions = z.output<typeof modelOptions>;

/** Key of the stages whose visual embeddings learn. */
export const reconstructionWeight = z
  .number()
  .min(0)
  .default(0)
  .describe(
    'factor of reading pixels off the visual embeddings: a model from nothing learns where things lie',
  );

/** A path of a recipe, from the folder of the recipe file. */
export function recipePath({ recipeFolder }: StageContext, path: string): string {
  return isAbsolute(path) ? path : join(recipeFolder, path);
}

/**
 * The model that a recipe names.
 * @throws EmuError as `ModelSource.open`.
 */
export function openModelSource(recipe: Recipe & ModelOptions, context: StageContext): Promise<ModelSource> {
  const { model, tokenizer, from, seed } = recipe;
  return ModelSource.open({
    seed,
    planOnly: context.planOnly,
    ...(model !== undefined && { model: recipePath(context, model) }),
    ...(tokenizer !== undefined && { tokenizer: recipePath(context, tokenizer) }),
    ...(from !== undefined && { from: resolve(from) }),
  });
}

/** What a recipe computes in. */
export function recipePrecision({ bf16 }: Pick<Recipe, 'bf16'>): Precision {
  return { matrices: bf16 ? 'bf16' : 'f32' };
}

/** Seed of held-out data: the same world in another order than training. */
export const heldOutSeed = (seed: number): number => seed + 1;

/** @throws EmuError INVALID_CONFIG unless the model has a visual decoder. */
export function requireDecoder(
  { config }: ModelSource,
  stage: string,
): NonNullable<ModelSource['config']['visualDecoder']> {
  if (config.visualDecoder !== undefined) return config.visualDecoder;
  throw new EmuError('INVALID_CONFIG', `[${stage}] the model has no visualDecoder to train`, {
    hint: 'Add visualDecoder to the sizes of the model.',
  });
}
