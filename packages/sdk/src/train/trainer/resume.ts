import { EmuError } from '@emu/program';

import type { JsonValue } from '../json-value.js';
import type { Recipe } from '../recipe/schema.js';
import { listCheckpoints, openCheckpoint, type OpenCheckpoint } from '../run-folder/checkpoint.js';

/** Keys that may differ when a run goes on: they change what is written, not what is computed. */
const freeKeys: ReadonlySet<string> = new Set([
  'output_dir',
  'logging_steps',
  'save_steps',
  'save_total_limit',
  'eval_steps',
  'sample_steps',
  'report_to',
  // The same bits with less memory.
  'gradient_checkpointing',
]);

/** The keys of a recipe that decide the weights: what a checkpoint and the recipe that goes on from it must share. */
export function decidingKeys(recipe: Recipe): Record<string, JsonValue> {
  const { resume_from_checkpoint: from, ...rest } = recipe;
  const explicit = from === 'auto' || from === 'never' ? {} : { resume_from_checkpoint: from };
  const entries = Object.entries({ ...rest, ...explicit }).filter(([key]) => !freeKeys.has(key));
  // Through JSON, as the checkpoint has it.
  return JSON.parse(JSON.stringify(Object.fromEntries(entries))) as Record<string, JsonValue>;
}

export interface Resumption {
  readonly checkpoint: OpenCheckpoint;
  /** The checkpoint is of this run, so that its logs go on; else they begin anew. */
  readonly sameRun: boolean;
}

/**
 * The checkpoint to go on from: the newest in the run folder that is undamaged, else the one that the recipe names,
 * else none.
 * @throws EmuError INVALID_CONFIG if the run was made with another recipe, or if the recipe says never and there is
 *   one; MODEL_NOT_FOUND, CHECKPOINT_CORRUPT for a named checkpoint.
 */
export async function findCheckpoint(
  folder: string,
  recipe: Recipe,
  warn: (message: string) => void,
): Promise<Resumption | undefined> {
  const { resume_from_checkpoint: from } = recipe;
  const found = await listCheckpoints(folder);
  if (from === 'never' && found.length > 0) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[train] ${folder} has ${found.length} checkpoints of an earlier run`,
      {
        hint: 'Resume with resume_from_checkpoint: auto, give another output_dir, or take the folder away.',
        details: { folder, checkpoints: found.length },
      },
    );
  }
  for (const { folder: path } of [...found].reverse()) {
    let checkpoint: OpenCheckpoint;
    try {
      checkpoint = await openCheckpoint(path);
    } catch (error) {
      if (!EmuError.isInstance(error)) throw error;
      warn(`${error.message}; trying the one before it`);
      continue;
    }
    checkRecipe(checkpoint, recipe);
    return { checkpoint, sameRun: true };
  }
  if (found.length > 0) {
    throw new EmuError(
      'CHECKPOINT_CORRUPT',
      `[train] none of the ${found.length} checkpoints in ${folder} can be read`,
      {
        hint: 'Give another output_dir, or take the folder away to begin anew.',
        details: { folder, checkpoints: found.length },
      },
    );
  }
  if (from === 'auto' || from === 'never') return undefined;
  return { checkpoint: await openCheckpoint(from), sameRun: false };
}

function checkRecipe({ record, folder }: OpenCheckpoint, recipe: Recipe): void {
  const now = decidingKeys(recipe);
  const before = record.recipe;
  const keys = new Set([...Object.keys(now), ...Object.keys(before)]);
  const shown = (value: JsonValue | undefined): string =>
    value === undefined ? 'absent' : JSON.stringify(value).slice(0, 120);
  const different = [...keys].filter((key) => shown(now[key]) !== shown(before[key]));
  if (different.length === 0) return;
  const texts = different.map((key) => `${key} was ${shown(before[key])}, is ${shown(now[key])}`);
  throw new EmuError(
    'INVALID_CONFIG',
    `[train] ${folder} was made with another recipe: ${texts.join('; ')}`,
    {
      hint: 'Give another output_dir; with resume_from_checkpoint set to that folder the new run starts from it.',
      details: { folder, keys: different },
    },
  );
}
