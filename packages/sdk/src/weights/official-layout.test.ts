import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import type { EmuConfig } from '../models/config.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceJson, referencePath } from '../testing/reference-data.js';
import { openModelFolder } from './official-layout.js';

describe.skipIf(!referenceExists)('the published layout', () => {
  it('gives the configuration of the pretrained model', async () => {
    const model = await openModelFolder(referencePath('checkpoint'));
    expect(model.config).toEqual(referenceConfig);
    expect(model.layout).toBe('official');
    expect(model.assumed).toEqual([]);
    expect(model.tokenizerFolder).toBe(referencePath('checkpoint/llama_config'));
    expect(model.visualDecoder?.unet.entries.size).toBe(686);
  });

  it('gives the instruction-tuned model by option or by file', async () => {
    const { visual, causalTransformer, llama } = referenceConfig;
    const multimodal = { visual, causalTransformer, llama };
    const lora = { rank: 16, alpha: 16, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] };
    const expected = { ...multimodal, llama: { ...multimodal.llama, vocabulary: 32006, lora } };
    const byOption = await openModelFolder(referencePath('checkpoint'), { variant: 'instruct' });
    expect(byOption.config).toEqual(expected);
    expect(byOption.multimodal.adapters.size).toBe(12);
    const byFile = await openModelFolder(referencePath('checkpoint/Emu-instruct.pt'));
    expect(byFile.config).toEqual(expected);
  });
});

/** A copy of the reference folder made of links, whose files can be replaced one by one. */
async function linkedCopy(changes: Readonly<Record<string, string | null>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'emu-layout-'));
  folders.push(root);
  const source = referencePath('checkpoint');
  for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
    const name = relative(source, join(entry.parentPath, entry.name));
    const isRemoved = Object.entries(changes).some(([path, text]) => text === null && name.startsWith(path));
    if (isRemoved || !entry.isFile()) continue;
    await mkdir(dirname(join(root, name)), { recursive: true });
    const text = changes[name];
    if (typeof text === 'string') await writeFile(join(root, name), text);
    else await symlink(join(source, name), join(root, name));
  }
  return root;
}

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** The text of a reference configuration with one value replaced. */
function changed(file: string, change: (json: Record<string, unknown>) => void): Record<string, string> {
  const json = referenceJson<Record<string, unknown>>(`checkpoint/${file}`);
  change(json);
  return { [file]: JSON.stringify(json) };
}

describe.skipIf(!referenceExists)('a folder in the published layout', () => {
  it('may lack the visual decoder, the safety checker, or the configurations of the code', async () => {
    const bare = await openModelFolder(await linkedCopy({ unet: null, vae: null, safety_checker: null }));
    expect(bare.config).not.toHaveProperty('visualDecoder');
    expect(bare.visualDecoder).toBeUndefined();
    const unchecked = await openModelFolder(await linkedCopy({ safety_checker: null }));
    expect(unchecked.config.visualDecoder).not.toHaveProperty('safetyChecker');
    const published = await openModelFolder(
      await linkedCopy({
        'Emu-14B.json': null,
        llama_config: null,
        't5_config.json': null,
        unet: null,
        vae: null,
      }),
    );
    expect(published.assumed).toEqual(['llama_config/config.json', 'Emu-14B.json', 't5_config.json']);
    expect(published.tokenizerFolder).toBeUndefined();
    const sizes = JSON.parse(
      await readFile(join(import.meta.dirname, '../../../../models/emu-14b.json'), 'utf8'),
    ) as EmuConfig;
    expect({ ...published.config }).toEqual({
      visual: sizes.visual,
      causalTransformer: sizes.causalTransformer,
      llama: sizes.llama,
    });
  });

  const set =
    (key: string, value: unknown) =>
    (json: Record<string, unknown>): void => {
      const path = key.split('.');
      const last = path.pop() ?? '';
      const inner = path.reduce((object, part) => object[part] as Record<string, unknown>, json);
      inner[last] = value;
    };
  it.each([
    ['Emu-14B.json', set('vision_cfg.layers', -1), 'vision_cfg.layers: Too small', '-1 came'],
    ['Emu-14B.json', set('vision_cfg.layers', 1e9), 'vision_cfg.layers: Too big', '1000000000 came'],
    ['Emu-14B.json', set('vision_cfg.width', 'x'), 'vision_cfg.width: Invalid input', '"x" came'],
    ['Emu-14B.json', set('vision_cfg.mlp_ratio', null), 'vision_cfg.mlp_ratio', 'null came'],
    ['Emu-14B.json', set('vision_cfg', undefined), 'vision_cfg: Invalid input', 'nothing came'],
    [
      'Emu-14B.json',
      set('vision_cfg.patch_size', 13),
      '"patch_size" 13 does not divide "image_size" 56',
      ': ',
    ],
    ['Emu-14B.json', set('vision_cfg.head_width', 48), '"head_width" 48 does not divide "width" 64', ': '],
    ['Emu-14B.json', set('vision_cfg.rope', true), 'vision_cfg.rope', 'true came'],
    ['Emu-14B.json', set('vladapter_cfg.n_causal', 9), 'n_causal 9 is not multimodal_cfg.n_causal 8', ': '],
    [
      'llama_config/config.json',
      set('hidden_size', 41),
      '"num_attention_heads" 4 does not divide "hidden_size" 41',
      ':',
    ],
    [
      'llama_config/config.json',
      set('hidden_size', 36),
      'heads of width 9: rotary positions need an even width',
      ':',
    ],
    ['llama_config/config.json', set('num_key_value_heads', 2), 'num_key_value_heads 2 is not', ': '],
    ['llama_config/config.json', set('hidden_act', 'gelu'), 'hidden_act', '"gelu" came'],
    [
      'llama_config/config.json',
      set('vocab_size', 40000),
      'vocab_size 40000 is more than the 32004 rows',
      ':',
    ],
    ['llama_config/config.json', set('rms_norm_eps', 0), 'rms_norm_eps: Too small', '0 came'],
    ['llama_config/config.json', set('rope_scaling', { type: 'linear' }), 'rope_scaling', 'came'],
    ['t5_config.json', set('feed_forward_proj', 'gated-gelu'), 'feed_forward_proj', '"gated-gelu" came'],
    ['t5_config.json', set('d_kv', 1.5), 'd_kv', '1.5 came'],
    [
      'unet/config.json',
      set('down_block_types.1', 'AttnDownBlock2D'),
      'down_block_types.1',
      '"AttnDownBlock2D" came',
    ],
    [
      'unet/config.json',
      set('up_block_types', ['UpBlock2D']),
      'up_block_types has 1 entries, block_out_channels has 4',
      ':',
    ],
    [
      'unet/config.json',
      set('norm_num_groups', 5),
      '"norm_num_groups" 5 does not divide "block_out_channels" 8',
      ':',
    ],
    ['unet/config.json', set('attention_head_dim', [4, 4]), 'attention_head_dim has 2 entries', ': '],
    [
      'unet/config.json',
      set('cross_attention_dim', 768),
      'cross_attention_dim 768 is not the language model',
      ':',
    ],
    [
      'unet/config.json',
      set('in_channels', 9),
      "in_channels 9 and out_channels 4 are not the VAE's latent_channels 4",
      ':',
    ],
    ['unet/config.json', set('class_embed_type', 'timestep'), 'class_embed_type', '"timestep" came'],
    ['unet/config.json', set('act_fn', 'mish'), 'act_fn', '"mish" came'],
    ['vae/config.json', set('scaling_factor', 0), 'scaling_factor: Too small', '0 came'],
    ['vae/config.json', set('block_out_channels', []), 'block_out_channels', '[] came'],
    [
      'safety_checker/config.json',
      set('vision_config.hidden_act', 'relu'),
      'vision_config.hidden_act',
      '"relu" came',
    ],
  ])('is refused with a wrong value: %s %#', async (file, change, problem, came) => {
    const attempt = openModelFolder(await linkedCopy(changed(file, change)));
    await expect(attempt).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
    await expect(attempt).rejects.toThrow(problem);
    await expect(attempt).rejects.toThrow(came);
    await expect(attempt).rejects.toThrow(file);
  });

  it.each([
    ['CHECKPOINT_CORRUPT', { 'Emu-14B.json': '{"embed_dim":' }, 'Emu-14B.json: is not valid JSON'],
    ['CHECKPOINT_CORRUPT', { 'unet/config.json': '[]' }, 'unet/config.json: must hold a JSON object'],
    [
      'CHECKPOINT_CORRUPT',
      { 'unet/config.json': '['.repeat(100_000) },
      'unet/config.json: is not valid JSON',
    ],
    [
      'CHECKPOINT_CORRUPT',
      { 'vae/diffusion_pytorch_model.bin': '' },
      'has 0 bytes, too few for any checkpoint',
    ],
    ['MODEL_NOT_FOUND', { vae: null }, 'has the folder unet but not vae'],
    [
      'MODEL_NOT_FOUND',
      { 'vae/diffusion_pytorch_model.bin': null },
      'diffusion_pytorch_model.safetensors.index.json',
    ],
    ['MODEL_NOT_FOUND', { 'unet/config.json': null }, 'unet/config.json: no such file'],
    [
      'MODEL_NOT_FOUND',
      { multimodal_encoder: null, 'Emu-instruct.pt': null },
      'the folder has no multimodal encoder',
    ],
  ])('is refused with %s: %o', async (code, changes, message) => {
    const attempt = openModelFolder(await linkedCopy(changes));
    await expect(attempt).rejects.toMatchObject({ code });
    await expect(attempt).rejects.toThrow(message);
  });
});
