import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { EmuError } from '@emu/program';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

import { defineStage } from '../stage.js';
import { parseRecipe, readRecipe, recipeJsonSchema } from './read-recipe.js';
import { adapterOptions } from './schema.js';

const stages = [
  defineStage({
    name: 'instruct',
    summary: 'for tests',
    options: z.strictObject({
      model: z.string(),
      adapter: adapterOptions.prefault({}),
      sources: z.array(
        z.strictObject({
          name: z.string(),
          weight: z.number().positive().default(1),
          kinds: z.partialRecord(z.enum(['pair', 'question']), z.number()).optional(),
        }),
      ),
    }),
    createTask: () => Promise.reject(new Error('only its recipe is of interest')),
  }),
];

const recipe = `stage: instruct
output_dir: runs/a
max_steps: 100
learning_rate: 1e-5 # peak
model: models/tiny
adapter:
  r: 4
sources:
  - name: dialogues
  - { name: pairs, weight: 0.5 }
`;

function failure(text: string, overrides: readonly string[] = []): EmuError {
  try {
    parseRecipe('tiny.yaml', text, overrides, stages);
  } catch (error) {
    if (EmuError.isInstance(error)) return error;
    throw error;
  }
  throw new Error('the recipe was taken');
}

describe('a recipe', () => {
  it('gets defaults, and settings of the command line go before it', () => {
    const { recipe: read, stage } = parseRecipe(
      'tiny.yaml',
      recipe,
      ['max_steps=7', 'adapter.r=8', 'sources.1.weight=2'],
      stages,
    );
    expect(stage.name).toBe('instruct');
    expect(read).toMatchObject({
      max_steps: 7,
      learning_rate: 1e-5,
      adam_beta2: 0.98,
      lr_scheduler_type: 'cosine',
      adapter: { r: 8, lora_alpha: 16, target_modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] },
      sources: [
        { name: 'dialogues', weight: 1 },
        { name: 'pairs', weight: 2 },
      ],
    });
  });

  it('is written with the origin of each value, and reads back as the same', () => {
    const { text, recipe: read } = parseRecipe('tiny.yaml', recipe, ['max_steps=7'], stages);
    expect(text).toContain('max_steps: 7 # command line max_steps=7\n');
    expect(text).toContain('learning_rate: 0.00001 # tiny.yaml:4:16\n');
    expect(text).toContain('adam_beta2: 0.98 # default\n');
    expect(text).toContain('weight: 0.5 # tiny.yaml:10:28\n');
    expect(text).toContain('parameter_rules: [] # default\n');
    expect(text).toContain('lora_alpha: 16 # default\n');
    expect(parse(text)).toEqual(read);
  });

  it('is read from a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'emu-recipe-'));
    try {
      const path = join(folder, 'r.yaml');
      await writeFile(path, recipe);
      expect(await readRecipe(path, [], stages)).toMatchObject({ folder: resolve(folder) });
      await expect(readRecipe(join(folder, 'none.yaml'), [], stages)).rejects.toThrow(
        'none.yaml cannot be read',
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('a recipe that is wrong', () => {
  it.each([
    [
      'a slip',
      recipe.replace('learning_rate', 'learning_rat'),
      'tiny.yaml:4:1 there is no key "learning_rat"',
      'learning_rate',
    ],
    [
      'a word of another trainer',
      `${recipe}batch_size: 4\n`,
      'tiny.yaml:11:1 there is no key "batch_size"',
      'per_device_train_batch_size',
    ],
    [
      'a nested slip',
      recipe.replace('r: 4', 'lora_alhpa: 4'),
      'tiny.yaml:7:3 there is no key "lora_alhpa" in adapter',
      'lora_alpha',
    ],
    [
      'a slip in a list',
      recipe.replace('weight: 0.5', 'wieght: 1'),
      'tiny.yaml:10:20 there is no key "wieght" in sources.1',
      'weight',
    ],
    [
      'another word for a value',
      `${recipe}lr_scheduler_type: cosin\n`,
      'tiny.yaml:11:20 lr_scheduler_type is "cosin"',
      'cosine',
    ],
    [
      'another stage',
      recipe.replace('instruct', 'instrct'),
      'tiny.yaml:1:8 there is no stage "instrct"',
      'instruct',
    ],
  ])('names place and nearest word: %s', (_, text, message, nearest) => {
    const error = failure(text);
    expect(error.code).toBe('INVALID_CONFIG');
    expect(error.message).toContain(`[recipe] ${message}`);
    expect(error.hint).toContain(`Did you mean ${nearest}?`);
  });

  it.each([
    [
      'a text for a number',
      recipe.replace('1e-5', 'fast'),
      'tiny.yaml:4:16 learning_rate is "fast": expected number, received string',
    ],
    ['a number out of range', recipe.replace('100', '-1'), 'tiny.yaml:3:12 max_steps is -1: Too small'],
    ['a missing key', recipe.replace('model: models/tiny\n', ''), 'tiny.yaml:1:1 model is missing'],
    [
      'a missing key in a list',
      recipe.replace('- name: dialogues', '- weight: 1'),
      'tiny.yaml:9:5 sources.0.name is missing',
    ],
    ['no stage', recipe.replace('stage: instruct\n', ''), 'tiny.yaml:1:1 stage is missing'],
    ['a key twice', `${recipe}max_steps: 4\n`, 'tiny.yaml:11:1 Map keys must be unique'],
    ['a broken line', recipe.replace('max_steps: 100', 'max_steps: [100'), 'tiny.yaml:4:1 Flow sequence'],
    ['no map', '- 1\n', 'tiny.yaml:1:1 a recipe is a map of keys to values'],
    ['nothing', '', 'tiny.yaml:1:1 a recipe is a map of keys to values'],
  ])('names the place of %s', (_, text, message) => {
    expect(failure(text).message).toContain(message);
  });

  it('names every problem at once', () => {
    const error = failure(recipe.replace('1e-5', 'fast').replace('r: 4', 'rr: 4'));
    expect(error.message).toContain('tiny.yaml:4:16');
    expect(error.message).toContain('tiny.yaml:7:3');
    expect(error.details['problems']).toHaveLength(2);
  });

  it('names the nearest word of each of several problems', () => {
    const error = failure(
      recipe.replace('weight: 0.5', 'wieght: 1').replace('learning_rate', 'learning_rat'),
      ['sources.0.wait=3', 'sources.1.weigth=2', 'adapter.lora_alpa=2'],
    );
    expect(error.message).toContain(
      'tiny.yaml:4:1 there is no key "learning_rat" (did you mean learning_rate?)',
    );
    expect(error.message).toContain(
      'tiny.yaml:10:20 there is no key "wieght" in sources.1 (did you mean weight?)',
    );
    expect(error.message).toContain(
      'command line sources.0.wait=3 there is no key "wait" in sources.0, only name, weight, kinds',
    );
    expect(error.message).toContain(
      'command line sources.1.weigth=2 there is no key "weigth" in sources.1 (did you mean weight?)',
    );
    expect(error.message).toContain(
      'command line adapter.lora_alpa=2 there is no key "lora_alpa" in adapter (did you mean lora_alpha?)',
    );
    expect(error.hint).not.toContain('Did you mean');
  });

  it('names the nearest of the words that a table may have', () => {
    const text = recipe.replace('weight: 0.5 }', 'kinds: { par: 1 } }');
    expect(failure(text).message).toContain('tiny.yaml:10:29 there is no key "par" in sources.1.kinds');
    expect(failure(text).hint).toBe('Did you mean pair?');
    const far = failure(recipe.replace('weight: 0.5 }', 'kinds: { wolf: 1 } }'));
    expect(far.message).toContain('"wolf" in sources.1.kinds, only pair, question');
  });

  it('says how long a list is that a setting goes beyond', () => {
    expect(failure(recipe, ['sources.9.weight=3']).hint).toBe(
      'sources has 2 entries, numbered from 0, in the recipe.',
    );
  });

  it('says which setting of the command line it was', () => {
    expect(failure(recipe, ['learning_rate=fast']).message).toContain(
      'command line learning_rate=fast learning_rate is "fast"',
    );
    expect(failure(recipe, ['adaptor.r=4'])).toMatchObject({ hint: 'Did you mean adapter?' });
    expect(failure(recipe, ['max_steps']).message).toBe('[recipe] "max_steps" is not key=value');
    expect(failure(recipe, ['max_steps.a=1']).hint).toContain('max_steps is 100 in the recipe');
    expect(failure(recipe, ['sources.7.name=x']).message).toContain(
      'there is no place for "sources.7.name=x"',
    );
  });

  it('never does worse than an EmuError, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 200, unit: 'binary' }),
        fc.string({ maxLength: 40 }),
        (text, setting) => {
          expect(() => parseRecipe('x.yaml', text, [setting], stages)).toThrow(EmuError);
          expect(() => parseRecipe('x.yaml', recipe + text, [setting], stages)).toThrow(EmuError);
        },
      ),
      { numRuns: 500, seed: 7 },
    );
  });

  it('does not unfold a bomb of aliases', () => {
    const bomb = Array.from({ length: 12 }, (_, index) => {
      const inner = index === 0 ? '1' : Array.from({ length: 9 }, () => `*a${index - 1}`).join(', ');
      return `a${index}: &a${index} [${inner}]`;
    });
    expect(failure(`${bomb.join('\n')}\n`).message).toContain('Excessive alias count');
  });

  it('does not reach into what objects inherit', () => {
    expect(failure(recipe, ['__proto__.polluted=1']).code).toMatch(/INVALID_/);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

it('is published as JSON Schema', () => {
  const schema = recipeJsonSchema(stages) as {
    oneOf: { properties: Record<string, unknown>; required: string[] }[];
  };
  expect(schema.oneOf[0]?.properties).toMatchObject({
    learning_rate: { type: 'number', default: 1e-4, description: 'peak learning rate' },
    stage: { const: 'instruct' },
    adapter: { type: 'object' },
  });
  expect(schema.oneOf[0]?.required).toEqual(['stage', 'output_dir', 'max_steps', 'model', 'sources']);
});
