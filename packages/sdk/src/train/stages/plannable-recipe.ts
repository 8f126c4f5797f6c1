import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { EmuError } from '@emu/program';

import { readRecipe, type ResolvedRecipe } from '../recipe/read-recipe.js';
import type { Recipe } from '../recipe/schema.js';
import type { StageDefinition } from '../stage.js';
import { modelFolder } from '../trainer/training-run.js';
import type { ModelOptions } from './stage-options.js';

/**
 * A recipe whose sizes are known: where the model folder of its `from` is not there yet, it starts from the sizes that
 * the run that writes this folder starts from. That run's recipe is one of `others`; without it the recipe stays as it
 * is, and its stage says what is missing.
 */
export async function plannableRecipe(
  resolved: ResolvedRecipe,
  others: readonly ResolvedRecipe[],
): Promise<ResolvedRecipe> {
  const passed = new Set([resolved]);
  for (let at = resolved; ;) {
    const { from, model, tokenizer } = at.recipe as Recipe & Partial<ModelOptions>;
    if (from === undefined) {
      const sizes = {
        model: model === undefined ? undefined : resolve(at.folder, model),
        tokenizer: tokenizer === undefined ? undefined : resolve(at.folder, tokenizer),
      };
      return at === resolved ? resolved : withModel(resolved, sizes);
    }
    if (await isThere(from)) return at === resolved ? resolved : withModel(resolved, { from });
    const writer = others.find(
      (other) => !passed.has(other) && resolve(modelFolder(other.recipe.output_dir)) === resolve(from),
    );
    if (writer === undefined) return resolved;
    passed.add(writer);
    at = writer;
  }
}

function withModel(
  resolved: ResolvedRecipe,
  { from, model, tokenizer }: Partial<Pick<ModelOptions, 'from' | 'model' | 'tokenizer'>>,
): ResolvedRecipe {
  const recipe: Recipe & Partial<ModelOptions> = { ...resolved.recipe, from, model, tokenizer };
  return { ...resolved, recipe };
}

/** The recipes in the folder of a recipe; files that are none are passed over. */
export async function recipesBeside(
  { folder }: ResolvedRecipe,
  stages: readonly StageDefinition[],
): Promise<readonly ResolvedRecipe[]> {
  const names = (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name)).sort();
  const recipes: ResolvedRecipe[] = [];
  for (const name of names) {
    try {
      recipes.push(await readRecipe(join(folder, name), [], stages));
    } catch (error) {
      if (!EmuError.isInstance(error)) throw error;
    }
  }
  return recipes;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
