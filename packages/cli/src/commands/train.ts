import { dirname } from 'node:path';
import { statfs } from 'node:fs/promises';

import { backendOf, devices, type Device } from '@emu/sdk';
import {
  memoryLimit,
  parseHardware,
  planText,
  planTraining,
  readRecipe,
  recipeJsonSchema,
  requireFit,
  thisMachine,
  train,
  trainingStages,
  type Hardware,
  type Recipe,
  type ResolvedRecipe,
  type TrainingTask,
} from '@emu/sdk/train';
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
      const { recipes, settings } = split(recipesAndSettings);
      if (recipes.length === 0) command.error("error: missing required argument 'recipe'");
      const overrides = flags.resume === undefined ? [] : [`resume_from_checkpoint=${flags.resume}`];
      for (const path of recipes) {
        const resolved = await readRecipe(path, [...settings, ...overrides], trainingStages);
        if (flags.dryRun === true) await plan(context, resolved, flags);
        else await run(context, resolved, flags);
      }
    });
}

/** Recipes come first; what follows the first `key=value` is a setting, well formed or not. */
function split(words: readonly string[]): { recipes: readonly string[]; settings: readonly string[] } {
  const first = words.findIndex((word) => word.includes('=') && !/\.ya?ml$/.test(word));
  const end = first === -1 ? words.length : first;
  return { recipes: words.slice(0, end), settings: words.slice(end) };
}

async function run(context: CommandContext, resolved: ResolvedRecipe, flags: TrainFlags): Promise<void> {
  const { recipe, text } = resolved;
  const { signal } = context.terminal;
  await withTask(context, resolved, flags, false, async (task) => {
    const threads = threadsOf(context, flags);
    const { report, model, step } = await train({
      backend: backendOf(deviceOf(context, flags)),
      task,
      recipe,
      recipeText: text,
      memoryLimitBytes: memoryLimit(),
      ...(threads !== undefined && { threads }),
      signal,
      onEvent: trainingEvents(context),
    });
    context.progress.clear();
    if (!context.json) context.terminal.stdout.write(`${step} steps; model ${model}, report ${report}\n`);
  });
}

async function plan(context: CommandContext, resolved: ResolvedRecipe, flags: TrainFlags): Promise<void> {
  const { recipe } = resolved;
  await withTask(context, resolved, flags, true, async (task) => {
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
      const { bavail, bsize } = await statfs(place);
      return bavail * bsize;
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
