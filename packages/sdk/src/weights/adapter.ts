import { join } from 'node:path';

import { EmuError } from '@emu/program';
import { z } from 'zod';

import type { LoraTarget } from '../models/config.js';
import { canonicalEncoder } from './canonical-names.js';
import { corrupt, notFound, quoted } from './checkpoint-error.js';
import { checkConfig } from './config-schema.js';
import { readJsonObject } from './json-file.js';
import { statOrUndefined } from './node-file.js';
import type { ModelFolder } from './official-layout.js';
import { openFirst } from './open.js';
import type { TensorEntry, TensorFile } from './tensor-source.js';

/** What peft calls the files of an adapter. */
export const adapterConfigName = 'adapter_config.json';
export const adapterWeightsName = 'adapter_model.safetensors';
/** In front of the names of the wrapped model, in peft's files. */
export const adapterPrefix = 'base_model.model.';

/** Where low-rank adapters can be. */
export const loraTargets: readonly LoraTarget[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];

const configSchema = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.int().min(1).max(65_536),
  lora_alpha: z.number().gt(0).max(1e6),
  target_modules: z.array(z.string().max(256)).min(1).max(64),
  bias: z.literal('none').default('none'),
  use_rslora: z.literal(false).optional(),
  use_dora: z.literal(false).optional(),
});

/** Low-rank adapters in peft's layout: located, not read. */
export interface Adapter {
  readonly path: string;
  readonly rank: number;
  readonly alpha: number;
  readonly file: TensorFile;
}

/**
 * Opens a folder with `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
 * @throws EmuError MODEL_NOT_FOUND, INVALID_CONFIG for adapters of another kind, CHECKPOINT_CORRUPT.
 * Source: peft v0.3.0 to v0.17, `save_pretrained`.
 */
export async function openAdapter(path: string): Promise<Adapter> {
  const configPath = join(path, adapterConfigName);
  if ((await statOrUndefined(configPath)) === undefined) {
    throw notFound({ reader: 'adapter', path }, `the folder has no ${adapterConfigName}`, {
      hint: "Give a folder of an adapter in peft's layout, as instruction tuning writes it.",
    });
  }
  const config = checkConfig(configSchema, await readJsonObject(configPath), configPath);
  const file = await openFirst([join(path, adapterWeightsName), join(path, 'adapter_model.bin')]);
  return { path, rank: config.r, alpha: config.lora_alpha, file };
}

/**
 * A model with adapters on its language model; whole tables among the adapter's tensors, such as the token table of a
 * vocabulary that grew, take the place of the model's.
 * @throws EmuError INVALID_CONFIG for a model that has adapters already, CHECKPOINT_CORRUPT for tensors that fit nothing.
 */
export function withAdapter(folder: ModelFolder, adapter: Adapter): ModelFolder {
  const { multimodal, config } = folder;
  const place = { reader: 'adapter', path: adapter.file.path };
  if (multimodal.lora !== undefined) {
    throw new EmuError('INVALID_CONFIG', `[adapter] ${folder.path} has adapters already`, {
      hint: 'Give the pretrained model, or merge its adapters first.',
      details: { model: folder.path, adapter: adapter.path },
    });
  }
  const entries = new Map<string, TensorEntry>(multimodal.file.entries);
  for (const [name, entry] of adapter.file.entries) {
    const own = `decoder.lm.${name.startsWith(adapterPrefix) ? name.slice(adapterPrefix.length) : name}`;
    const isPair = /\.lora_[AB](?:\.default)?\.weight$/.test(own);
    if (!isPair && !entries.has(own)) {
      throw corrupt(place, `the model has no tensor ${quoted(own)} that ${quoted(name)} could be`, {
        details: { tensor: name },
      });
    }
    entries.set(own, { ...entry, name: own });
  }
  const joined = canonicalEncoder({ ...multimodal.file, entries }, { loraAlpha: adapter.alpha });
  const { lora } = joined;
  if (lora?.rank !== adapter.rank) {
    throw corrupt(
      place,
      `adapters of rank ${lora?.rank ?? 'none'} were found, ${adapterConfigName} says ${adapter.rank}`,
      {
        details: { found: lora?.rank, configured: adapter.rank },
      },
    );
  }
  return { ...folder, multimodal: joined, config: { ...config, llama: { ...config.llama, lora } } };
}
