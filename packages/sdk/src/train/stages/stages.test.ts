import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { drawnWorld } from '@emu/data';
import { EmuError } from '@emu/program';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { encodePng } from '../../image/encode-node.js';
import { image } from '../../image/media.js';
import { rgbPixels } from '../../image/pixels.js';
import { backendOf, Emu } from '../../node.js';
import { mergeAdapter } from '../lora/merge-adapter.js';
import { parseRecipe } from '../recipe/index.js';
import { train, type TrainingEvent } from '../trainer/index.js';
import { trainingStages } from './index.js';

/*
 * Every stage on a model of thousands of parameters, one after the other, each from the folder of the one before, on the
 * C++ backend.
 */

const tokenizer = join(import.meta.dirname, '../../../../../models/tokenizer-drawn');
let folder = '';

const sizes = {
  visual: {
    imageSize: 32,
    patchSize: 8,
    width: 32,
    layers: 2,
    headWidth: 16,
    mlpWidth: 64,
    epsilon: 1e-6,
    headOutputWidth: 16,
  },
  causalTransformer: {
    queries: 4,
    width: 32,
    heads: 2,
    headWidth: 16,
    feedForwardWidth: 64,
    layers: 1,
    encoderWidth: 32,
    outputWidth: 32,
    relativeAttentionBuckets: 32,
    relativeAttentionMaxDistance: 128,
    epsilon: 1e-6,
  },
  llama: {
    vocabulary: 1006,
    width: 32,
    layers: 2,
    heads: 2,
    feedForwardWidth: 64,
    epsilon: 1e-6,
    ropeTheta: 10000,
    contextLength: 256,
  },
  visualDecoder: {
    unet: {
      sampleSize: 8,
      inChannels: 4,
      outChannels: 4,
      blockChannels: [8, 16],
      downBlocks: ['CrossAttnDownBlock2D', 'DownBlock2D'],
      upBlocks: ['UpBlock2D', 'CrossAttnUpBlock2D'],
      layersPerBlock: 1,
      heads: [2, 2],
      crossAttentionWidth: 32,
      groups: 4,
      epsilon: 1e-5,
      flipSinToCos: true,
      frequencyShift: 0,
      useLinearProjection: false,
    },
    vae: {
      sampleSize: 16,
      inChannels: 3,
      outChannels: 3,
      latentChannels: 4,
      blockChannels: [8, 8],
      layersPerBlock: 1,
      groups: 4,
      scalingFactor: 0.18215,
    },
  },
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-stages-'));
  await writeFile(join(folder, 'sizes.json'), JSON.stringify(sizes));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Run {
  readonly model: string;
  /** `loss` of every step. */
  readonly losses: readonly number[];
  readonly samples: readonly string[];
}

function recipeText(stage: string, name: string, lines: readonly string[]): string {
  const start = stage === 'contrastive' ? [`model: sizes.json`, `tokenizer: ${tokenizer}`] : [];
  return [
    `stage: ${stage}`,
    `output_dir: ${join(folder, name)}`,
    'max_steps: 30',
    'learning_rate: 3.0e-3',
    'save_steps: 0',
    'samples: 1',
    ...start,
    ...lines,
  ].join('\n');
}

async function run(stage: string, name: string, lines: readonly string[]): Promise<Run> {
  const resolved = parseRecipe('test.yaml', recipeText(stage, name, lines), [], trainingStages);
  const context = { recipeFolder: folder, planOnly: false };
  const task = await resolved.stage.createTask(resolved.recipe, context);
  const losses: number[] = [];
  const samples: string[] = [];
  const watch = (event: TrainingEvent): void => {
    if (event.type === 'step') losses.push(event.terms['loss'] ?? NaN);
    if (event.type === 'samples') samples.push(...event.samples.map((sample) => sample.kind));
  };
  try {
    const { model } = await train({
      backend: backendOf('cpu'),
      task,
      recipe: resolved.recipe,
      onEvent: watch,
    });
    return { model, losses, samples };
  } finally {
    await task.close?.();
  }
}

const pairs = 'sources: [{ name: pairs, drawn_world: { size: 32, kinds: { pair: 1 } } }]';
const packed = ['sequence_length: 128', 'pictures: 6', 'per_device_train_batch_size: 1'];
const mixed = `sources:
  - { name: pairs, drawn_world: { size: 32, kinds: { pair: 1 } } }
  - { name: imagined, drawn_world: { size: 32, kinds: { pair: 1 } }, text_first: 1, imagined: true }
  - { name: questions, weight: 0.5, drawn_world: { size: 32, kinds: { question: 1 } } }`;

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function expectFalling({ losses }: Run, most = 0.95): void {
  expect(losses).toHaveLength(30);
  expect(mean(losses.slice(-5))).toBeLessThan(most * mean(losses.slice(0, 3)));
}

const from = (name: string): string => `from: ${join(folder, name, 'model')}`;

describe('the stages of training', { timeout: 240_000 }, () => {
  it('contrastive: pictures come nearer to their texts', async () => {
    const result = await run('contrastive', 'contrastive', [
      pairs,
      'per_device_train_batch_size: 8',
      'text_tower: { width: 32, layers: 1, heads: 2, context_length: 24 }',
      'causal_transformer: true',
      'reconstruction_weight: 0.5',
    ]);
    expect(mean(result.losses.slice(-5))).toBeLessThan(mean(result.losses.slice(0, 3)));
    await expect(readFile(join(result.model, 'config.json'), 'utf8')).resolves.toContain('"emu"');
  });

  it('contrastive: pixels are not read off embeddings that do not learn along', async () => {
    const lines = [pairs, 'reconstruction_weight: 1'];
    await expect(run('contrastive', 'contrastive-refused', lines)).rejects.toThrow(
      '[contrastive] reconstruction_weight reads embeddings of the Causal Transformer, which does not learn along',
    );
  });

  it('unified: both losses fall, a caption and a picture are shown, and the same seed gives the same bytes', async () => {
    const lines = [
      from('contrastive'),
      mixed,
      ...packed,
      'sample_steps: 30',
      'dropout: 0.1',
      'reconstruction_weight: 0.5',
    ];
    const first = await run('unified', 'unified', lines);
    expectFalling(first);
    expect(first.samples).toEqual(['text', 'image']);
    const again = await run('unified', 'unified-again', lines);
    expect(again.losses).toEqual(first.losses);
    const bytes = (model: string): Promise<Buffer> => readFile(join(model, 'model.safetensors'));
    expect((await bytes(again.model)).equals(await bytes(first.model))).toBe(true);
  });

  it('vae: pictures come back, and the scaling factor is measured', async () => {
    const result = await run('vae', 'vae', [
      from('unified'),
      pairs,
      'per_device_train_batch_size: 4',
      'scale_batches: 2',
      'sample_steps: 30',
    ]);
    expectFalling(result);
    expect(result.samples).toEqual(['image']);
    const config = JSON.parse(await readFile(join(result.model, 'vae/config.json'), 'utf8')) as {
      scaling_factor: number;
    };
    expect(config.scaling_factor).not.toBeCloseTo(sizes.visualDecoder.vae.scalingFactor, 5);
    expect(config.scaling_factor).toBeGreaterThan(0);
  });

  it('unet: noise is predicted from regressed embeddings, and a picture is shown', async () => {
    const result = await run('unet', 'unet', [
      from('vae'),
      pairs,
      'per_device_train_batch_size: 4',
      'sample_steps: 30',
      'sample_steps_count: 2',
      'beta_end: 0.02',
      'encoded_conditions: 0.5',
      'prediction_type: v_prediction',
    ]);
    expectFalling(result, 0.97); // velocities come slower than the noise itself
    expect(result.samples).toEqual(['image']);
    // Painting follows the noise that was learned.
    const scheduler = JSON.parse(
      await readFile(join(folder, 'unet', 'model', 'scheduler', 'scheduler_config.json'), 'utf8'),
    ) as object;
    expect(scheduler).toMatchObject({
      beta_start: 0.00085,
      beta_end: 0.02,
      beta_schedule: 'scaled_linear',
      prediction_type: 'v_prediction',
    });
  });

  it('instruct: the adapter learns, goes onto the model, and merged into it answers alike', async () => {
    const questions = 'sources: [{ name: questions, drawn_world: { size: 32, kinds: { question: 1 } } }]';
    const { model, losses, samples } = await run('instruct', 'instruct', [
      from('unet'),
      questions,
      'sequence_length: 256',
      'pictures: 4',
      'per_device_train_batch_size: 1',
      'sample_steps: 30',
      'adapter: { r: 4, lora_alpha: 8, lora_dropout: 0, target_modules: [q_proj, v_proj] }',
    ]);
    expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 3)));
    expect(samples).toEqual(['text']);
    const base = join(folder, 'unet', 'model');
    const to = join(folder, 'merged');
    await mergeAdapter({ model: base, adapter: model, to });
    const picture = image({ width: 32, height: 32, data: new Uint8Array(32 * 32 * 3).fill(90) });
    const chances: number[][] = [];
    for (const [path, options] of [
      [base, { adapter: model }],
      [to, {}],
    ] as const) {
      const emu = await Emu.fromPretrained(path, { dtype: 'f32', ...options });
      const ranked = await emu.score([picture, 'what is this?'], ['a circle', 'a star']);
      chances.push(ranked.map(({ logProbability }) => logProbability));
      expect(await emu.ask(picture, 'what is this?', { maxNewTokens: 2, numBeams: 1 }).text()).toBeTypeOf(
        'string',
      );
      await emu.dispose();
    }
    for (const [index, chance] of (chances[0] ?? []).entries()) {
      expect(chances[1]?.[index]).toBeCloseTo(chance, 3);
    }
  });
});

/** Pairs of the drawn world as a tar file of PNG and text; `broken` is the number of one whose picture is cut off. */
async function writeShard(path: string, first: number, broken?: number): Promise<void> {
  const archive = pack();
  const stream = drawnWorld({ size: 32 }).open({ seed: 5, split: 'train', position: { index: first } });
  for (let index = first; index < first + 24; index++) {
    const [picture, text] = (await stream.next()).value?.elements ?? [];
    if (picture?.type !== 'image' || text?.type !== 'text') throw new Error('a pair is a picture and a text');
    const { width, height, data } = picture.image;
    const png = await encodePng(rgbPixels(width, height, data));
    archive.entry({ name: `${index}.png` }, Buffer.from(index === broken ? png.subarray(0, 60) : png));
    archive.entry({ name: `${index}.txt` }, text.text);
  }
  archive.finalize();
  await stream.close();
  await writeFile(path, archive as AsyncIterable<Uint8Array>);
}

describe('a run on shards', { timeout: 240_000 }, () => {
  it('names a corrupt sample, loses no step, and goes on when the shard is mended', async () => {
    const shardsAt = (name: string): string => join(folder, `${name}-{0..1}.tar`);
    const lines = (name: string): readonly string[] => [
      `sources: [{ name: mine, shards: { train: "${shardsAt(name)}", evaluation: "${join(folder, 'whole-0.tar')}" } }]`,
      'per_device_train_batch_size: 4',
      'eval_steps: 10',
      'eval_batches: 1',
      'text_tower: { width: 32, layers: 1, heads: 2, context_length: 24 }',
    ];
    for (const [name, broken] of [['whole'], ['hurt', 40]] as const) {
      await writeShard(join(folder, `${name}-0.tar`), 0, broken);
      await writeShard(join(folder, `${name}-1.tar`), 24, broken);
    }
    const undisturbed = await run('contrastive', 'on-shards', lines('whole'));
    expect(undisturbed.losses).toHaveLength(30);

    const hurt = run('contrastive', 'on-hurt-shards', lines('hurt'));
    await expect(hurt).rejects.toThrow(
      `[shards] sample "40" of ${join(folder, 'hurt-1.tar')}: [image] the png file cannot be decoded`,
    );
    await rename(join(folder, 'whole-1.tar'), join(folder, 'hurt-1.tar'));
    const resumed = await run('contrastive', 'on-hurt-shards', lines('hurt'));
    expect(resumed.losses.length).toBeLessThan(30);
    expect(resumed.losses).toEqual(undisturbed.losses.slice(-resumed.losses.length));
    const bytes = (model: string): Promise<Buffer> => readFile(join(model, 'model.safetensors'));
    expect((await bytes(resumed.model)).equals(await bytes(undisturbed.model))).toBe(true);
  });

  it('names a missing shard before anything runs', async () => {
    const missing = 'sources: [{ name: mine, shards: { train: "nowhere-{0..1}.tar" } }]';
    await expect(run('contrastive', 'on-no-shards', [missing])).rejects.toThrow(
      '[shards] there is no shard nowhere-0.tar',
    );
  });
});

describe('recipes that cannot be', () => {
  const create = async (text: string): Promise<unknown> => {
    const resolved = parseRecipe('test.yaml', text, [], trainingStages);
    return resolved.stage.createTask(resolved.recipe, { recipeFolder: folder, planOnly: false });
  };
  const lines = ['stage: unified', 'output_dir: x', 'max_steps: 1', pairs];

  it('needs a model to start from', async () => {
    await expect(create(lines.join('\n'))).rejects.toThrow(
      '[train] the recipe needs either `from`, a model folder, or `model` and `tokenizer`, sizes and a tokenizer',
    );
  });

  it('names a source of which there are two', async () => {
    const twice =
      'sources: [{ name: a, drawn_world: { kinds: { pair: 1 } } }, { name: a, drawn_world: { kinds: { pair: 1 } } }]';
    const start = [`model: sizes.json`, `tokenizer: ${tokenizer}`];
    await expect(create([...lines.slice(0, 3), twice, ...start].join('\n'))).rejects.toThrow(
      '[train] two sources are called "a"',
    );
  });

  it('names a key that no stage has', () => {
    const text = [...lines, 'visual_wieght: 2'].join('\n');
    expect(() => parseRecipe('test.yaml', text, [], trainingStages)).toThrow(/visual_wieght/);
  });

  it('refuses adapters where none can be', async () => {
    const text = [
      'stage: instruct',
      'output_dir: x',
      'max_steps: 1',
      pairs,
      'model: sizes.json',
      `tokenizer: ${tokenizer}`,
      'adapter: { target_modules: [gate_proj] }',
    ].join('\n');
    await expect(create(text)).rejects.toThrow('[instruct] adapter.target_modules has "gate_proj"');
  });

  it('paints only from a trained language model', async () => {
    const text = [
      'stage: unet',
      'output_dir: x',
      'max_steps: 1',
      pairs,
      'model: sizes.json',
      `tokenizer: ${tokenizer}`,
    ];
    const refusal = create(text.join('\n'));
    await expect(refusal).rejects.toThrow(
      '[unet] the stage needs `from`, a model whose language model is trained',
    );
    await expect(refusal).rejects.toSatisfy(
      (error) => EmuError.isInstance(error) && error.code === 'INVALID_CONFIG',
    );
  });
});
