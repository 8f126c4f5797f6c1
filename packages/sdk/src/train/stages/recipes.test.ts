import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { optimizerSettings } from '../optimizer/parameter-settings.js';
import { readRecipe } from '../recipe/index.js';
import { trainingStages } from './index.js';

const recipes = join(import.meta.dirname, '../../../../../recipes');

/** Recipes that start from a folder of an earlier run are planned from the sizes of their model. */
const sizes: Readonly<Record<string, string>> = {
  tiny: '../../models/emu-tiny.json',
  small: '../../models/emu-small.json',
  'emu-14b': '../../models/emu-14b.json',
};

describe.each(Object.keys(sizes))('recipes of %s', (size) => {
  it.each(readdirSync(join(recipes, size)))('%s can be planned', { timeout: 60_000 }, async (file) => {
    const path = join(recipes, size, file);
    const read = await readRecipe(path, [], trainingStages);
    const recipe = { ...read.recipe, from: undefined, model: sizes[size] };
    const context = { recipeFolder: read.folder, planOnly: true };
    const task = await read.stage.createTask(recipe, context);
    const settings = optimizerSettings(recipe, task.parameters);
    expect(settings.trained.length).toBeGreaterThan(0);
    for (const key of task.programKeys) {
      expect(task.program(key).outputs.map(({ name }) => name)).toContain('loss');
    }
  });
});
