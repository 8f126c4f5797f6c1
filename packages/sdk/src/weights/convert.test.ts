import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toFloat32 } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { referenceExists, referencePath } from '../testing/reference-data.js';
import { convertCheckpoint } from './convert.js';
import { openModelFolder, type ModelFolder } from './official-layout.js';
import { readTensor } from './read-tensor.js';
import type { TensorFile } from './tensor-source.js';

function parts(model: ModelFolder): Record<string, TensorFile | undefined> {
  const { unet, vae, safetyChecker } = model.visualDecoder ?? {};
  return { multimodal: model.multimodal.file, unet, vae, safetyChecker };
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe.skipIf(!referenceExists)('converting the reference checkpoint', () => {
  let root = '';
  let source: ModelFolder;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'emu-convert-'));
    source = await openModelFolder(referencePath('checkpoint'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it('to f32 keeps every value, in shards as in one file', async () => {
    const to = join(root, 'f32');
    const progress: number[] = [];
    const result = await convertCheckpoint({
      from: referencePath('checkpoint'),
      to,
      dtype: 'f32',
      maxShardBytes: 3_000_000,
      onProgress: ({ completed }) => progress.push(completed),
    });
    expect(result.files).toContain('model.safetensors.index.json');
    expect(result.files).toContain('unet/diffusion_pytorch_model.safetensors');
    expect(result.files.at(-1)).toBe('config.json');
    expect(progress.at(-1)).toBe(result.bytes);
    const converted = await openModelFolder(to);
    expect(converted.layout).toBe('converted');
    expect(converted.config).toEqual(source.config);
    expect(converted.tokenizerFolder).toBe(to);
    for (const [name, file] of Object.entries(parts(source))) {
      const copy = parts(converted)[name];
      expect(copy?.format).toBe('safetensors');
      expect([...(copy?.entries.keys() ?? [])].sort()).toEqual([...(file?.entries.keys() ?? [])].sort());
      for (const entry of file?.entries.values() ?? []) {
        const twin = copy?.entries.get(entry.name);
        if (!twin) throw new Error(`no ${entry.name}`);
        expect(twin.shape).toEqual(entry.shape);
        const [before, after] = [await readTensor(entry), await readTensor(twin)];
        expect(
          Buffer.from(toFloat32(after).buffer).equals(Buffer.from(toFloat32(before).buffer)),
          entry.name,
        ).toBe(true);
      }
    }
  });

  it('to bf16 halves the matrices and leaves norms, biases and positions alone', async () => {
    const to = join(root, 'bf16');
    await convertCheckpoint({ from: referencePath('checkpoint'), to, dtype: 'bf16' });
    const { multimodal, visualDecoder } = await openModelFolder(to);
    const types = (file: TensorFile | undefined, name: string) => file?.entries.get(name)?.dtype;
    expect(types(multimodal.file, 'visual.blocks.0.attn.proj.weight')).toBe('bf16');
    expect(types(multimodal.file, 'visual.blocks.0.norm1.weight')).toBe('f32');
    expect(types(multimodal.file, 'visual.pos_embed')).toBe('f32');
    expect(types(multimodal.file, 'decoder.lm.model.norm.weight')).toBe('f32');
    expect(types(visualDecoder?.unet, 'conv_in.weight')).toBe('bf16');
    expect(types(visualDecoder?.safetyChecker, 'visual_projection.weight')).toBe('f32');
    const name = 'visual.blocks.0.attn.proj.weight';
    const [before, after] = [source.multimodal.file.entries.get(name), multimodal.file.entries.get(name)];
    if (!before || !after) throw new Error('tensor missing');
    const exact = toFloat32(await readTensor(before));
    const rounded = toFloat32(await readTensor(after));
    const worst = Math.max(
      ...exact.map((value, i) => Math.abs((rounded[i] ?? NaN) - value) / Math.abs(value)),
    );
    // Half a unit in the last of 8 significant bits.
    expect(worst).toBeLessThanOrEqual(2 ** -8);
    expect(worst).toBeGreaterThan(0);
    const weights = await stat(join(to, 'model.safetensors'));
    expect(weights.size).toBeLessThan(6_155_691);
  });

  it('keeps adapters and their configuration', async () => {
    const to = join(root, 'instruct');
    await convertCheckpoint({
      from: referencePath('checkpoint/Emu-instruct.pt'),
      to,
      dtype: 'bf16',
      loraAlpha: 8,
    });
    const converted = await openModelFolder(to);
    expect(converted.config.llama.lora).toEqual({
      rank: 16,
      alpha: 8,
      targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
    });
    expect(converted.multimodal.file.entries.size).toBe(139);
  });

  it('gives the same bytes again, and goes on where it was stopped', async () => {
    const options = { from: referencePath('checkpoint'), dtype: 'f32', maxShardBytes: 2_000_000 } as const;
    const [whole, broken] = [join(root, 'whole'), join(root, 'broken')];
    await convertCheckpoint({ ...options, to: whole });
    const stop = new AbortController();
    const attempt = convertCheckpoint({
      ...options,
      to: broken,
      signal: stop.signal,
      onProgress: ({ file }) => {
        if (file.startsWith('model-00003')) stop.abort(new Error('enough'));
      },
    });
    await expect(attempt).rejects.toThrow('enough');
    await expect(openModelFolder(broken)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect((await listFiles(broken)).some((path) => path.endsWith('.partial'))).toBe(false);
    const resumed = await convertCheckpoint({ ...options, to: broken });
    expect(resumed.kept).toEqual([
      expect.stringMatching(/^model-00001-of/),
      expect.stringMatching(/^model-00002-of/),
    ]);
    for (const path of resumed.files) {
      const [a, b] = [await readFile(join(whole, path)), await readFile(join(broken, path))];
      expect(a.equals(b), path).toBe(true);
    }
    const again = await convertCheckpoint({ ...options, to: broken });
    expect(again.kept.length).toBe(again.files.length);
    // Other options: nothing of the old files may stay.
    await convertCheckpoint({ ...options, to: broken, maxShardBytes: 1e9 });
    const names = (await readdir(broken)).filter((name) => name.startsWith('model'));
    expect(names.sort()).toEqual(['model.safetensors', 'model_index.json']);
  });

  it('refuses folders and options that make no sense', async () => {
    const from = referencePath('checkpoint');
    await expect(convertCheckpoint({ from, to: from, dtype: 'f32' })).rejects.toThrow(
      `[convert] source and target are one folder: ${from}`,
    );
    await expect(convertCheckpoint({ from, to: tmpdir(), dtype: 'f32' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      hint: 'Give a new or empty folder.',
    });
    await expect(
      convertCheckpoint({ from, to: join(root, 'x'), dtype: 'f32', maxShardBytes: 0 }),
    ).rejects.toThrow('[convert] maxShardBytes must be an integer above 0, 0 came');
    await writeFile(join(root, 'a-file'), 'x');
    await expect(convertCheckpoint({ from, to: join(root, 'a-file'), dtype: 'f32' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: `[write] ${join(root, 'a-file')}: a file of that name is in the way`,
    });
    await expect(
      convertCheckpoint({ from: join(root, 'absent'), to: join(root, 'x'), dtype: 'f32' }),
    ).rejects.toThrow('no such file or folder');
  });
});
