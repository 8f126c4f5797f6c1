import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { describe, expect, it } from 'vitest';

import { optimizerSettings } from '../optimizer/parameter-settings.js';
import { parseHardware, planTraining, type TrainingPlan } from '../plan/index.js';
import { readRecipe } from '../recipe/index.js';
import type { TrainingCompanion } from '../task.js';
import { trainingStages } from './index.js';
import { plannableRecipe, recipesBeside } from './plannable-recipe.js';

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
    // On a clean clone: no run has made its folder yet.
    const planned = await plannableRecipe(read, await recipesBeside(read, trainingStages));
    const recipe = { ...read.recipe, from: undefined, model: sizes[size] };
    const sizesFile = join(read.folder, sizes[size] ?? '');
    const { from, model } = planned.recipe as { from?: string; model?: string };
    expect({ from, model: resolve(read.folder, model ?? '') }).toEqual({ from: undefined, model: sizesFile });
    const context = { recipeFolder: read.folder, planOnly: true };
    const task = await read.stage.createTask(recipe, context);
    const settings = optimizerSettings(recipe, task.parameters);
    expect(settings.trained.length).toBeGreaterThan(0);
    for (const key of task.programKeys) {
      expect(task.program(key).outputs.map(({ name }) => name)).toContain('loss');
    }
  });
});

describe('recipes of emu-14b on the devices of the paper', { timeout: 60_000 }, () => {
  const planOf = async (
    file: string,
    hardware: string,
  ): Promise<TrainingPlan & { readonly companion: TrainingCompanion | undefined }> => {
    const read = await readRecipe(join(recipes, 'emu-14b', file), [], trainingStages);
    const task = await read.stage.createTask(read.recipe, { recipeFolder: read.folder, planOnly: true });
    const plan = planTraining(task, read.recipe, parseHardware(`${hardware},flops=312e12`));
    return { ...plan, companion: task.companion };
  };
  const days = ({ time }: TrainingPlan): number => time.seconds / 86_400;

  it('unified: 128 devices read some 8200 samples of 320 places in a step, 10 000 steps in about two days', async () => {
    const plan = await planOf('1-unified.yaml', 'gpus=128,memory=80GiB');
    expect(plan.time).toMatchObject({ steps: 10_000, rowsPerStep: 1280 });
    expect(Math.abs((1280 * 2048) / 320 - 8200)).toBeLessThan(100);
    expect(days(plan)).toBeGreaterThan(1);
    expect(days(plan)).toBeLessThan(4);
    expect(plan.fits).toBe(true);
  });

  it('unet: 32 devices, 1600 pictures in a step, and the models that make their conditions', async () => {
    const plan = await planOf('2-unet.yaml', 'gpus=32,memory=80GiB');
    expect(plan.time).toMatchObject({ steps: 10_000, samplesPerStep: 1600 });
    expect(plan.fits).toBe(true);
    // The language model and the encoder of pictures in bf16, beside the VAE's encoder.
    expect(plan.memory.companion / 2 ** 30).toBeGreaterThan(26);
    // 63 rows for each of 10 pictures through 13 G weights, and VAE encodings of a TFLOP each.
    expect(plan.companion?.flopsPerBatch).toBeGreaterThan(10 * (63 * 2 * 12.5e9 + 1e12));
    expect(plan.companion?.flopsPerBatch).toBeLessThan(10 * (63 * 2 * 14e9 + 3e12));
  });

  it('instruct: 16 devices, 128 rows in a step, in about a day', async () => {
    const plan = await planOf('3-instruct.yaml', 'gpus=16,memory=80GiB');
    expect(plan.time).toMatchObject({ steps: 10_000, rowsPerStep: 128 });
    expect(days(plan)).toBeGreaterThan(0.5);
    expect(days(plan)).toBeLessThan(2);
    expect(plan.fits).toBe(true);
  });
});
