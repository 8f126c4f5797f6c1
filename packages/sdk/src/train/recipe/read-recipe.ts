import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { EmuError } from '@emu/program';
import { z } from 'zod';

import { nearestName } from '../../generate/option-checks.js';
import type { StageDefinition } from '../stage.js';
import { knownKeys } from './known-keys.js';
import { RecipeSource, type RecipePath } from './recipe-source.js';
import { resolvedText } from './resolved-text.js';
import { trainerOptions, type Recipe } from './schema.js';

export interface ResolvedRecipe {
  readonly stage: StageDefinition;
  /** All keys with defaults filled in; the stage's own are among them. */
  readonly recipe: Recipe;
  /** The recipe as YAML with the origin of each value. */
  readonly text: string;
  /** The recipe file, as it was named. */
  readonly file: string;
  /** Its folder, absolute. */
  readonly folder: string;
}

/** Everything a recipe of this stage may say. */
export function recipeSchema({ options, name }: StageDefinition): z.ZodObject {
  return z.strictObject({ ...trainerOptions.shape, ...options.shape, stage: z.literal(name) });
}

/**
 * Reads a recipe file; `overrides` are settings `key=value` of a command line, which go before it.
 * @throws EmuError MEDIA_NOT_FOUND if there is no such file; INVALID_CONFIG naming file:line:column (or the setting) of
 *   every unknown key, with the nearest known one, and of every value that does not fit.
 */
export async function readRecipe(
  path: string,
  overrides: readonly string[],
  stages: readonly StageDefinition[],
): Promise<ResolvedRecipe> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new EmuError('MEDIA_NOT_FOUND', `[recipe] ${path} cannot be read`, {
      details: { path },
      cause: error,
    });
  }
  return { ...parseRecipe(path, text, overrides, stages), folder: dirname(resolve(path)) };
}

/** As `readRecipe`, for a text at hand; `file` names it in messages. */
export function parseRecipe(
  file: string,
  text: string,
  overrides: readonly string[],
  stages: readonly StageDefinition[],
): Omit<ResolvedRecipe, 'folder'> {
  const source = new RecipeSource(file, text, overrides);
  const stage = stageOf(source, stages);
  const schema = recipeSchema(stage);
  const parsed = schema.safeParse(source.values);
  if (!parsed.success) throw invalidRecipe(source, schema, parsed.error.issues);
  // Checked against the schema that is made of the trainer's.
  const recipe = parsed.data as unknown as Recipe;
  return { stage, recipe, file, text: resolvedText(recipe, (place) => source.originOf(place) ?? 'default') };
}

function stageOf(source: RecipeSource, stages: readonly StageDefinition[]): StageDefinition {
  const name = source.values['stage'];
  const names = stages.map((stage) => stage.name);
  const stage = stages.find((candidate) => candidate.name === name);
  if (stage !== undefined) return stage;
  const nearest = typeof name === 'string' ? nearestName(name, names) : undefined;
  const known = `The stages are ${names.join(', ')}.`;
  throw new EmuError(
    'INVALID_CONFIG',
    name === undefined
      ? `[recipe] ${source.nearestOriginOf([])} stage is missing`
      : `[recipe] ${source.nearestOriginOf(['stage'])} there is no stage ${JSON.stringify(name)}`,
    {
      hint: nearest === undefined ? known : `Did you mean ${nearest}? ${known}`,
      details: { stage: name, nearest, stages: names },
    },
  );
}

interface Problem {
  readonly place: string;
  readonly key: string;
  readonly text: string;
  readonly nearest?: string;
}

function invalidRecipe(
  source: RecipeSource,
  schema: z.ZodObject,
  issues: readonly z.core.$ZodIssue[],
): EmuError {
  const problems = issues.flatMap((issue) => problemsOf(source, schema, issue));
  const [first] = problems;
  const isOne = problems.length === 1;
  const texts = problems.map(({ place, text, nearest }) =>
    isOne || nearest === undefined ? `${place} ${text}` : `${place} ${text} (did you mean ${nearest}?)`,
  );
  return new EmuError('INVALID_CONFIG', `[recipe] ${texts.join('; ')}`, {
    hint:
      isOne && first?.nearest !== undefined
        ? `Did you mean ${first.nearest}?`
        : '`emu train --json-schema` describes every key.',
    details: { problems },
  });
}

/** Words of other trainers, with ours for the same thing. */
const otherWords: Readonly<Record<string, string>> = {
  lr: 'learning_rate',
  batch_size: 'per_device_train_batch_size',
  train_batch_size: 'per_device_train_batch_size',
  num_train_epochs: 'max_steps',
  epochs: 'max_steps',
  steps: 'max_steps',
  warmup_ratio: 'warmup_steps',
  clip_grad_norm: 'max_grad_norm',
  betas: 'adam_beta1',
  logging_dir: 'output_dir',
};

function problemsOf(source: RecipeSource, schema: z.ZodObject, issue: z.core.$ZodIssue): readonly Problem[] {
  const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key));
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, path);
    return issue.keys.map((key) => {
      const word = otherWords[key] ?? '';
      const nearest = known.includes(word) ? word : nearestName(key, known);
      const whole = [...path, key];
      // The keys of a part are few.
      const others =
        nearest === undefined && path.length > 0 && known.length > 0 ? `, only ${known.join(', ')}` : '';
      return {
        place: source.keyOriginOf(whole),
        key: whole.join('.'),
        text: `there is no key ${JSON.stringify(key)}${path.length === 0 ? '' : ` in ${path.join('.')}`}${others}`,
        ...(nearest !== undefined && { nearest }),
      };
    });
  }
  const key = path.join('.');
  const value = valueAt(source.values, path);
  const text =
    value === undefined
      ? `${key} is missing`
      : `${key} is ${JSON.stringify(value).slice(0, 80)}: ${issue.message.replace(/^Invalid input: /, '')}`;
  const nearest =
    issue.code === 'invalid_value' && typeof value === 'string'
      ? nearestName(value, issue.values.map(String))
      : undefined;
  return [{ place: source.nearestOriginOf(path), key, text, ...(nearest !== undefined && { nearest }) }];
}

function valueAt(values: unknown, path: RecipePath): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null
        ? (inner as Record<string | number, unknown>)[key]
        : undefined,
    values,
  );
}

/** The schema of recipe files as JSON Schema (draft 2020-12), for editors: one alternative for each stage. */
export function recipeJsonSchema(stages: readonly StageDefinition[]): Record<string, unknown> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Recipe of Emu SDK',
    oneOf: stages.map((stage) => {
      const schema = z.toJSONSchema(recipeSchema(stage), { io: 'input' });
      delete schema.$schema;
      return { title: stage.name, description: stage.summary, ...schema };
    }),
  };
}
