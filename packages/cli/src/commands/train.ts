import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { backendOf, devices, type Device } from '@emu/sdk';
import {
  memoryLimit,
  optimizerSettings,
  parseHardware,
  plannableRecipe,
  planText,
  planTraining,
  readRecipe,
  recipeJsonSchema,
  recipesBeside,
  requireFit,
  thisMachine,
  train,
  trainingStages,
  type Hardware,
  type Recipe,
  type ResolvedRecipe,
  type TrainingTask,
} from '@emu/sdk/train';
import { EmuError } from '@emu/program';
import type { Command } from 'commander';

import {
  commandContext,
  number,
  oneOf,
  withCommonFlags,
  type CommandContext,
  type CommonFlags,
} from '../context.js';
import { environmentValue } from '../environment.js';
import { writeJson, type Terminal } from '../terminal.js';
import { trainingEvents } from '../training/training-events.js';

interface TrainFlags extends CommonFlags {
  readonly dryRun?: boolean;
  readonly hardware?: string;
  readonly resume?: string;
  readonly device?: Device;
  readonly threads?: number;
  readonly jsonSchema?: boolean;
}

const help = `
A recipe is a YAML file; settings after it go before what it says. Several recipes run one after another, each with the
same settings. The same command again goes on where the run was stopped or killed. The first Ctrl-C writes a checkpoint
and stops, the second stops at once.

Stages: ${trainingStages.map(({ name, summary }) => `\n  ${name.padEnd(12)} ${summary}`).join('')}

Examples:
  emu train recipes/tiny/07-unified.yaml
  emu train recipes/tiny/07-unified.yaml max_steps=200 output_dir=runs/short
  emu train recipes/tiny/*.yaml
  emu train recipes/emu-14b/1-unified.yaml --dry-run --hardware gpus=128,flops=312e12,memory=80GiB
  emu train --json-schema > recipe.schema.json`;

export function addTrain(program: Command, terminal: Terminal): void {
  withCommonFlags(program.command('train'))
    .argument('[recipes and settings...]', 'recipe files; key=value, nested keys with dots')
    .description('train stages of the model by recipes, or go on with a run')
    .option('--dry-run', 'print memory, time and disk; run nothing')
    .option('--hardware <text>', 'plan for this instead of this machine: gpus=128,flops=312e12,memory=80GiB')
    .option('--resume <what>', 'auto (the newest checkpoint), never, or the folder of a checkpoint')
    .option('--device <name>', 'cpu or reference (default: EMU_DEVICE, else cpu)', oneOf(devices))
    .option(
      '--threads <number>',
      'threads that run kernels (default: EMU_THREADS, else the cores there are)',
      number,
    )
    .option('--json-schema', 'print the JSON Schema of recipes')
    .addHelpText('after', help)
    .action(async (recipesAndSettings: readonly string[], flags: TrainFlags, command: Command) => {
      const context = commandContext(terminal, flags);
      if (flags.jsonSchema === true) {
        terminal.stdout.write(`${JSON.stringify(recipeJsonSchema(trainingStages), null, 2)}\n`);
        return;
      }
      const { paths, settings } = split(recipesAndSettings);
      if (paths.length === 0) command.error("error: missing required argument 'recipe'");
      const overrides = flags.resume === undefined ? [] : [`resume_from_checkpoint=${flags.resume}`];
      // All of them are read and checked before hours are spent on the first.
      await checkFiles(paths);
      const recipes: ResolvedRecipe[] = [];
      for (const path of paths) {
        recipes.push(await readRecipe(path, [...settings, ...overrides], trainingStages));
      }
      if (flags.dryRun !== true && recipes.length > 1) await check(context, recipes, flags);
      for (const recipe of recipes) {
        if (flags.dryRun === true) await plan(context, recipe, recipes, flags);
        else await run(context, recipe, flags);
      }
    });
}

/** Recipes come first; what follows the first `key=value` is a setting, well formed or not. */
function split(words: readonly string[]): { paths: readonly string[]; settings: readonly string[] } {
  const first = words.findIndex((word) => word.includes('=') && !/\.ya?ml$/.test(word));
  const end = first === -1 ? words.length : first;
  return { paths: words.slice(0, end), settings: words.slice(end) };
}

/** @throws EmuError INVALID_OPTION for a word that is no file and no setting either. */
async function checkFiles(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const isFile = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    // A recipe that is not there is told by who reads it.
    if (isFile || /\.ya?ml$/.test(path)) continue;
    throw new EmuError(
      'INVALID_OPTION',
      `[train] ${JSON.stringify(path)} is neither a recipe file nor a setting key=value`,
      {
        hint: `Name a YAML file, or write the setting as ${/^[\w.-]+$/.test(path) ? path : 'max_steps'}=VALUE.`,
        details: { argument: path },
      },
    );
  }
}

/**
 * Makes the tasks of several recipes as for a plan: what their runs would refuse is told before the first begins.
 * @throws EmuError INVALID_CONFIG for two that have one output_dir, and what the stages say.
 */
async function check(
  context: CommandContext,
  recipes: readonly ResolvedRecipe[],
  flags: TrainFlags,
): Promise<void> {
  const folders = recipes.map(({ recipe }) => resolve(recipe.output_dir));
  for (const [index, resolved] of recipes.entries()) {
    const { file, recipe } = resolved;
    const same = folders.indexOf(folders[index] ?? '');
    if (same < index) {
      throw new EmuError(
        'INVALID_CONFIG',
        `[train] ${recipes[same]?.file ?? ''} and ${file} have the same output_dir ${recipe.output_dir}`,
        { hint: 'Each run needs a folder of its own.', details: { folder: recipe.output_dir } },
      );
    }
    // What it starts from is there, or an earlier one makes it.
    const plannable = await plannableRecipe(resolved, recipes.slice(0, index));
    try {
      await withTask(context, plannable, flags, true, (task) => {
        optimizerSettings(recipe, task.parameters);
        return Promise.resolve();
      });
    } catch (error) {
      context.note(`${file} cannot run, so none is begun`);
      throw error;
    }
  }
}

async function run(context: CommandContext, resolved: ResolvedRecipe, flags: TrainFlags): Promise<void> {
  const { recipe, text } = resolved;
  const { signal } = context.terminal;
  await withTask(context, resolved, flags, false, async (task) => {
    const threads = threadsOf(context, flags);
    const disk = await freeDisk(recipe.output_dir);
    const { report, model, step } = await train({
      backend: backendOf(deviceOf(context, flags)),
      task,
      recipe,
      recipeText: text,
      memoryLimitBytes: memoryLimit(),
      ...(disk !== undefined && { diskLimitBytes: disk }),
      ...(threads !== undefined && { threads }),
      signal,
      onEvent: trainingEvents(context),
    });
    context.progress.clear();
    if (!context.json) context.terminal.stdout.write(`${step} steps; model ${model}, report ${report}\n`);
  });
}

async function plan(
  context: CommandContext,
  resolved: ResolvedRecipe,
  recipes: readonly ResolvedRecipe[],
  flags: TrainFlags,
): Promise<void> {
  const { recipe } = resolved;
  // The model that it starts from may not be there yet; the recipe that will make it knows the sizes.
  const others = [...recipes, ...(await recipesBeside(resolved, trainingStages))];
  await withTask(context, await plannableRecipe(resolved, others), flags, true, async (task) => {
    const planned = planTraining(task, recipe, await hardwareOf(context, recipe, flags));
    if (context.json) writeJson(context.terminal.stdout, planned);
    else context.terminal.stdout.write(`${planText(planned)}\n`);
    requireFit(planned, recipe);
  });
}

async function hardwareOf(context: CommandContext, recipe: Recipe, flags: TrainFlags): Promise<Hardware> {
  if (flags.hardware !== undefined) return parseHardware(flags.hardware);
  const disk = await freeDisk(recipe.output_dir);
  const threads = threadsOf(context, flags);
  return thisMachine(backendOf(deviceOf(context, flags)), {
    bf16: recipe.bf16,
    ...(disk !== undefined && { disk }),
    ...(threads !== undefined && { threads }),
  });
}

/** Free bytes where a folder is or will be; undefined where the system does not tell. */
async function freeDisk(folder: string): Promise<number | undefined> {
  for (let place = folder; ; place = dirname(place)) {
    try {
      const { blocks, bavail, bsize } = await statfs(place);
      // File systems such as /proc have no size.
      return blocks === 0 ? undefined : bavail * bsize;
    } catch {
      if (dirname(place) === place) return undefined;
    }
  }
}

async function withTask(
  context: CommandContext,
  { stage, recipe, folder }: ResolvedRecipe,
  flags: TrainFlags,
  planOnly: boolean,
  work: (task: TrainingTask) => Promise<void>,
): Promise<void> {
  const threads = threadsOf(context, flags);
  const task = await stage.createTask(recipe, {
    recipeFolder: folder,
    planOnly,
    ...(threads !== undefined && { threads }),
    signal: context.terminal.signal,
  });
  try {
    await work(task);
  } finally {
    await task.close?.();
  }
}

function deviceOf({ terminal }: CommandContext, flags: TrainFlags): Device {
  const value = flags.device ?? environmentValue(terminal, 'EMU_DEVICE');
  return value === undefined ? 'cpu' : oneOf(devices)(value);
}

function threadsOf({ terminal }: CommandContext, flags: TrainFlags): number | undefined {
  const value = environmentValue(terminal, 'EMU_THREADS');
  return flags.threads ?? (value === undefined ? undefined : number(value));
}
