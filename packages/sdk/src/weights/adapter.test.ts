import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { openAdapter, withAdapter } from './adapter.js';
import type { ModelFolder } from './official-layout.js';
import { writeSafetensors } from './safetensors-writer.js';
import type { TensorEntry } from './tensor-source.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-adapter-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const config = { peft_type: 'LORA', r: 2, lora_alpha: 4, target_modules: ['q_proj'] };
const attention = 'model.layers.0.self_attn';

async function writeAdapterFiles(
  json: unknown,
  tensors: Readonly<Record<string, readonly number[]>>,
): Promise<void> {
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(json));
  await writeSafetensors(
    join(folder, 'adapter_model.safetensors'),
    Object.entries(tensors).map(([name, shape]) => ({
      name,
      shape,
      dtype: 'f32' as const,
      data: new Float32Array(shape.reduce((count, side) => count * side, 1)),
    })),
  );
}

const pair = {
  [`base_model.model.${attention}.q_proj.lora_A.weight`]: [2, 8],
  [`base_model.model.${attention}.q_proj.lora_B.weight`]: [8, 2],
};

/** As much of a model as adapters look at. */
function modelFolder(lora?: ModelFolder['multimodal']['lora']): ModelFolder {
  const entry = (name: string, shape: readonly number[]): [string, TensorEntry] => [
    name,
    { name, shape, dtype: 'f32', file: 'model.safetensors', byteOffset: 0 },
  ];
  const entries = new Map([
    entry(`decoder.lm.${attention}.q_proj.weight`, [8, 8]),
    entry('decoder.lm.model.embed_tokens.weight', [5, 8]),
  ]);
  const file = {
    path: 'model.safetensors',
    format: 'safetensors' as const,
    entries,
    metadata: {},
    ignored: [],
  };
  return {
    path: 'model',
    layout: 'converted',
    config: { llama: { vocabulary: 5 } },
    multimodal: { file, adapters: new Map(), ...(lora && { lora }) },
    generation: {},
    assumed: [],
  } as unknown as ModelFolder;
}

describe('adapters in the layout of peft', () => {
  it('go onto the projections they were made for, with their own scale', async () => {
    await writeAdapterFiles(config, { ...pair, 'base_model.model.model.embed_tokens.weight': [5, 8] });
    const { multimodal, config: changed } = withAdapter(modelFolder(), await openAdapter(folder));
    const wrapped = 'decoder.lm.base_model.model.';
    expect(multimodal.file.entries.get(`${wrapped}${attention}.q_proj.lora_A.default.weight`)?.shape).toEqual(
      [2, 8],
    );
    expect(multimodal.file.entries.get(`${wrapped}model.embed_tokens.weight`)?.file).toContain(
      'adapter_model',
    );
    expect(changed.llama.lora).toEqual({ rank: 2, alpha: 4, targets: ['q_proj'] });
  });

  it('are refused where they do not fit, by name', async () => {
    await writeAdapterFiles(config, { ...pair, 'base_model.model.model.norm.bias': [8] });
    const adapter = await openAdapter(folder);
    expect(() => withAdapter(modelFolder(), adapter)).toThrow('decoder.lm.model.norm.bias');
    await writeAdapterFiles({ ...config, r: 3 }, pair);
    const other = await openAdapter(folder);
    expect(() => withAdapter(modelFolder(), other)).toThrow(
      'adapters of rank 2 were found, adapter_config.json says 3',
    );
    expect(() => withAdapter(modelFolder({ rank: 2, alpha: 2, targets: ['q_proj'] }), other)).toThrow(
      '[adapter] model has adapters already',
    );
  });

  it('are refused when they are of another kind, or not there', async () => {
    await expect(openAdapter(folder)).rejects.toThrow('the folder has no adapter_config.json');
    await writeAdapterFiles({ ...config, peft_type: 'IA3' }, pair);
    await expect(openAdapter(folder)).rejects.toThrow('peft_type');
    await writeAdapterFiles({ ...config, r: 0 }, pair);
    await expect(openAdapter(folder)).rejects.toThrow(/adapter_config\.json.*r/s);
  });
});
