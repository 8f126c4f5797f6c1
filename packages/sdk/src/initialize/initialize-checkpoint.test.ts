import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toFloat32 } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { checkpointComponents } from '../models/components.js';
import type { EmuConfig } from '../models/config.js';
import { emuParameterCounts } from '../models/estimate.js';
import { readModelFiles } from '../node-model.js';
import { matchTensors } from '../weights/check.js';
import { openModelFolder, type ModelFolder } from '../weights/official-layout.js';
import { readTensor } from '../weights/read-tensor.js';
import { initializeCheckpoint, readEmuConfig } from './index.js';

const repository = join(import.meta.dirname, '../../../..');
const tokenizerFolder = join(repository, 'models/tokenizer');

let root = '';
let config: EmuConfig;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'emu-initialize-'));
  config = await readEmuConfig(join(repository, 'models/emu-demo.json'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The demo with fewer layers: quick to write again and again. */
function smaller(): EmuConfig {
  const { visual, causalTransformer, llama } = config;
  return { visual: { ...visual, layers: 1 }, causalTransformer, llama: { ...llama, layers: 1 } };
}

/** Mean and standard deviation of a tensor of the encoder. */
async function statistics(model: ModelFolder, name: string): Promise<{ mean: number; deviation: number }> {
  const entry = model.multimodal.file.entries.get(name);
  if (!entry) throw new Error(`no tensor ${name}`);
  const values = toFloat32(await readTensor(entry));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}

describe('the demo model', () => {
  let model: ModelFolder;
  beforeAll(async () => {
    const to = join(root, 'demo');
    await initializeCheckpoint({ config, tokenizerFolder, seed: 1, to });
    model = await openModelFolder(to);
  });

  it('is a whole model of at most 8 million parameters, in our layout', () => {
    const counts = emuParameterCounts(config);
    expect(Object.values<number>({ ...counts }).reduce((sum, count) => sum + count, 0)).toBeLessThan(8e6);
    expect(model.layout).toBe('converted');
    expect(model.config).toEqual(config);
    expect(model.visualDecoder?.safetyChecker).toBeUndefined();
    const files = {
      unet: model.visualDecoder?.unet,
      vae: model.visualDecoder?.vae,
      multimodal: model.multimodal.file,
    };
    for (const { name, tensors } of checkpointComponents(config)) {
      const file = name === 'safetyChecker' ? undefined : files[name];
      if (!file) throw new Error(`no ${name}`);
      expect(matchTensors(file, tensors).size).toBe(tensors.length);
    }
  });

  it('has a tokenizer with the tokens of pictures and conversations', async () => {
    const { tokenizer, generation } = await readModelFiles(model.path);
    expect(tokenizer.vocabularySize).toBe(config.llama.vocabulary);
    const { user, assistant, pad, imageStart } = tokenizer.specialTokens;
    expect([pad, imageStart, user, assistant]).toEqual([1164, 1165, 1168, 1169]);
    expect(generation).toMatchObject({ bos_token_id: 1, eos_token_id: 2, pad_token_id: 1164 });
  });

  it('has values as each part is initialised', async () => {
    const of = (name: string) => statistics(model, name);
    const close = (value: number) => ({ lower: value * 0.97, upper: value * 1.03 });
    const expectDeviation = async (name: string, deviation: number) => {
      const found = await of(name);
      expect(found.deviation, name).toBeGreaterThan(close(deviation).lower);
      expect(found.deviation, name).toBeLessThan(close(deviation).upper);
      expect(Math.abs(found.mean), name).toBeLessThan(0.05 * deviation);
    };
    await expectDeviation('decoder.lm.model.layers.0.mlp.up_proj.weight', 0.02);
    await expectDeviation('decoder.lm.model.embed_tokens.weight', 0.02);
    // A normal distribution cut at two deviations has 0.8796 of its deviation; that of EVA is meant for 1408 channels.
    const vision = 0.02 * Math.sqrt(1408 / config.visual.width) * 0.8796;
    await expectDeviation('visual.blocks.0.mlp.fc1.weight', vision);
    await expectDeviation('visual.blocks.3.mlp.fc2.weight', vision / Math.sqrt(8));
    await expectDeviation('cformer.cformer.block.0.layer.0.SelfAttention.q.weight', 1 / 64);
    await expectDeviation('cformer.cformer.block.0.layer.2.DenseReluDense.wo.weight', 512 ** -0.5);
    // Uniform in -b..b has deviation b / sqrt(3).
    await expectDeviation('visual.patch_embed.proj.weight', 1 / Math.sqrt(3 * 14 * 14 * 3));
    expect(await of('ln_visual.weight')).toEqual({ mean: 1, deviation: 0 });
    expect(await of('cformer.cformer.final_layer_norm.weight')).toEqual({ mean: 1, deviation: 0 });
    expect(await of('visual.blocks.0.attn.q_bias')).toEqual({ mean: 0, deviation: 0 });
  });
});

describe('initializeCheckpoint', () => {
  const weights = (folder: string) => readFile(join(folder, 'model.safetensors'));

  it('gives the same bytes for a seed and others for another', async () => {
    const folders = [7, 7n, 8].map((seed, index) => ({ seed, to: join(root, `seed${index}`) }));
    for (const { seed, to } of folders)
      await initializeCheckpoint({ config: smaller(), tokenizerFolder, seed, to });
    const [first, again, other] = await Promise.all(folders.map(({ to }) => weights(to)));
    expect(again?.equals(first ?? Buffer.alloc(0))).toBe(true);
    expect(other?.equals(first ?? Buffer.alloc(0))).toBe(false);
  });

  it('writes bf16 matrices, shards and adapters', async () => {
    const to = join(root, 'sharded');
    const lora = { rank: 4, alpha: 8, targets: ['q_proj', 'v_proj'] } as const;
    const { llama, ...rest } = smaller();
    const options = { tokenizerFolder, seed: 3, to, dtype: 'bf16', maxShardBytes: 500_000 } as const;
    await initializeCheckpoint({ ...options, config: { ...rest, llama: { ...llama, lora } } });
    const model = await openModelFolder(to);
    expect(model.config.llama.lora).toEqual(lora);
    expect(new Set([...model.multimodal.file.entries.values()].map(({ file }) => file)).size).toBeGreaterThan(
      1,
    );
    const matrix = 'decoder.lm.base_model.model.model.layers.0.mlp.up_proj.weight';
    expect(model.multimodal.file.entries.get(matrix)?.dtype).toBe('bf16');
    expect(await statistics(model, matrix)).toMatchObject({ deviation: expect.closeTo(0.02, 3) as number });
  });

  it('stops when asked, and goes on later', async () => {
    const to = join(root, 'stopped');
    const stop = new AbortController();
    const options = { config: smaller(), tokenizerFolder, seed: 2, to } as const;
    const attempt = initializeCheckpoint({
      ...options,
      signal: stop.signal,
      onProgress: ({ completed, total }) => {
        if (completed > total / 2) stop.abort(new Error('enough'));
      },
    });
    await expect(attempt).rejects.toThrow('enough');
    await expect(openModelFolder(to)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    const written = await initializeCheckpoint(options);
    const again = await initializeCheckpoint(options);
    expect(again.kept).toEqual(written.files);
  });

  it('refuses what makes no model, by name', async () => {
    const make = (changed: unknown, more: object = {}) =>
      initializeCheckpoint({
        config: changed as EmuConfig,
        tokenizerFolder,
        seed: 1,
        to: join(root, 'refused'),
        ...more,
      });
    const { llama, visualDecoder } = config;
    await expect(make({ ...config, llama: { ...llama, vocabulary: 1171 } })).rejects.toThrow(
      '[config] llama.vocabulary is 1171; the tokenizer makes it 1168 or 1170',
    );
    await expect(make({ ...config, llama: { ...llama, heads: 5 } })).rejects.toThrow(
      '"heads" 5 does not divide',
    );
    await expect(make({ ...config, wings: 2 })).rejects.toThrow('Unrecognized key: "wings"');
    const safetyChecker = { width: 8 };
    await expect(make({ ...config, visualDecoder: { ...visualDecoder, safetyChecker } })).rejects.toThrow(
      'visualDecoder.safetyChecker cannot be initialised',
    );
    const unet = { ...visualDecoder?.unet, crossAttentionWidth: 64 };
    await expect(make({ ...config, visualDecoder: { ...visualDecoder, unet } })).rejects.toThrow(
      'unet.crossAttentionWidth 64 is not llama.width 192',
    );
    await expect(make(config, { seed: -1 })).rejects.toThrow('seed must be in 0..2^64-1, got -1');
    await expect(make(config, { dtype: 'f16' })).rejects.toThrow('dtype must be f32 or bf16, f16 came');
    await expect(make(config, { maxShardBytes: NaN })).rejects.toThrow(
      'maxShardBytes must be an integer above 0',
    );
    await expect(make(config, { tokenizerFolder: root })).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await expect(make(null)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('reads configuration files, and says what is wrong with one', async () => {
    const path = join(root, 'broken.json');
    await writeFile(path, '{"visual": ');
    await expect(readEmuConfig(path)).rejects.toThrow(`[config] ${path}: not JSON`);
    await expect(readEmuConfig(join(root, 'absent.json'))).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });
});
