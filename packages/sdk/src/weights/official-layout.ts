import { basename, dirname, join } from 'node:path';

import type { EmuConfig, MultimodalConfig } from '../models/config.js';
import { openAdapter, withAdapter } from './adapter.js';
import { canonicalEncoder, type EncoderTensors } from './canonical-names.js';
import { corrupt, notFound, type FilePlace } from './checkpoint-error.js';
import { inconsistent } from './config-schema.js';
import { readJsonObject } from './json-file.js';
import {
  baseVocabulary,
  multimodalConfig,
  parseConvertedConfig,
  publishedEmuJson,
  publishedLlamaJson,
  t5BaseJson,
  type ConfigFile,
} from './multimodal-config.js';
import { statOrUndefined } from './node-file.js';
import { openFirst, openTensorFile } from './open.js';
import type { TensorFile } from './tensor-source.js';
import { openVisualDecoder, type VisualDecoderFiles } from './visual-decoder-layout.js';

/** A model folder with everything found in it; tensors are located, not read. */
export interface ModelFolder {
  /** The folder that the parts lie in. */
  readonly path: string;
  readonly layout: 'official' | 'converted';
  readonly config: EmuConfig;
  readonly multimodal: EncoderTensors;
  /** Absent for an instruction-tuned model, and where the folder has none. */
  readonly visualDecoder?: VisualDecoderFiles;
  /** Folder of tokenizer.json or tokenizer.model; absent when neither was found. */
  readonly tokenizerFolder?: string;
  /** Content of generation_config.json, empty when there is none. */
  readonly generation: Readonly<Record<string, unknown>>;
  /** Configurations that were not in the folder, so that the published values stand in. */
  readonly assumed: readonly string[];
}

export interface OpenModelOptions {
  /** Which model to take from a folder that has both; the pretrained one by default. */
  readonly variant?: 'pretrain' | 'instruct';
  /** Adapter scale; a state dict does not hold it. 16 by default, as in the authors' code. */
  readonly loraAlpha?: number;
  /** Folder of adapters in peft's layout to put on the model. */
  readonly adapter?: string;
}

interface Located {
  /** Folder of the parts. */
  readonly base: string;
  readonly multimodal: string;
}

const weightNames = ['model.safetensors', 'model.safetensors.index.json'];
const pickleNames = ['pytorch_model.bin', 'pytorch_model.bin.index.json'];

function within(folder: string, names: readonly string[]): string[] {
  return names.map((name) => join(folder, name));
}

async function isThere(path: string): Promise<boolean> {
  return (await statOrUndefined(path)) !== undefined;
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isThere(path)) return path;
  return undefined;
}

/** Where the authors' scripts keep a multimodal encoder, in the order they are looked for. */
function officialCandidates(base: string, variant: 'pretrain' | 'instruct'): string[] {
  const instruct = within(base, ['Emu-instruct.safetensors', 'Emu-instruct.pt']);
  if (variant === 'instruct') return instruct;
  return [
    ...within(join(base, 'multimodal_encoder'), [...weightNames, ...pickleNames]),
    ...within(base, ['Emu-pretrain.safetensors', 'Emu-pretrain.pt', ...pickleNames]),
    ...instruct,
  ];
}

async function locate(path: string, options: OpenModelOptions, place: FilePlace): Promise<Located> {
  const stats = await statOrUndefined(path);
  if (!stats) throw notFound(place, 'no such file or folder');
  if (stats.isFile()) {
    const folder = dirname(path);
    const base = basename(folder) === 'multimodal_encoder' ? dirname(folder) : folder;
    return { base, multimodal: path };
  }
  if (!stats.isDirectory()) throw notFound(place, 'is neither a file nor a folder');
  const tried: string[] = [];
  // The published download keeps the pretrained model in a folder `pretrain` beside Emu-instruct.pt.
  for (const base of [path, join(path, 'pretrain')]) {
    const candidates = officialCandidates(base, options.variant ?? 'pretrain');
    const found = await firstThere(candidates);
    if (found !== undefined) return { base, multimodal: found };
    tried.push(...candidates);
  }
  throw notFound(place, 'the folder has no multimodal encoder', {
    hint: 'Give a folder with multimodal_encoder/pytorch_model.bin, Emu-pretrain.pt, Emu-instruct.pt or model.safetensors.',
    details: { tried },
  });
}

async function isConverted(path: string): Promise<boolean> {
  const stats = await statOrUndefined(path);
  if (!stats?.isDirectory() || !(await isThere(join(path, 'config.json')))) return false;
  return (await readJsonObject(join(path, 'config.json')))['model_type'] === 'emu';
}

/** Reads a configuration from the first place that has it, or takes the published one. */
async function configFile(
  base: string,
  names: readonly string[],
  published: unknown,
  assumed: string[],
): Promise<ConfigFile> {
  const folders = [base, join(base, 'multimodal_encoder'), join(base, 'models'), dirname(base)];
  const path = await firstThere(folders.flatMap((folder) => within(folder, names)));
  if (path !== undefined) return { path, json: await readJsonObject(path) };
  const [name = ''] = names;
  assumed.push(name);
  return { path: `${name} (published values)`, json: published };
}

function embeddingRows({ file }: EncoderTensors): number | undefined {
  const names = [
    'decoder.lm.model.embed_tokens.weight',
    'decoder.lm.base_model.model.model.embed_tokens.weight',
  ];
  return names.map((name) => file.entries.get(name)?.shape[0]).find((rows) => rows !== undefined);
}

/** Emu adds 4 tokens to LLaMA's vocabulary, its instruction-tuned form 6. */
const addedTokens = 4;

async function officialConfig(
  base: string,
  multimodal: EncoderTensors,
  assumed: string[],
): Promise<MultimodalConfig> {
  const llama = await configFile(base, ['llama_config/config.json'], publishedLlamaJson, assumed);
  const emu = await configFile(base, ['Emu-14B.json'], publishedEmuJson, assumed);
  const t5 = await configFile(base, ['t5_config.json'], t5BaseJson, assumed);
  const bare = baseVocabulary(llama);
  const vocabulary = embeddingRows(multimodal) ?? bare + addedTokens;
  if (vocabulary < bare) {
    throw inconsistent(
      llama.path,
      `vocab_size ${bare} is more than the ${vocabulary} rows of the token table`,
      {
        vocab_size: bare,
        rows: vocabulary,
      },
    );
  }
  const config = multimodalConfig({ emu, llama, t5 }, vocabulary);
  return multimodal.lora ? { ...config, llama: { ...config.llama, lora: multimodal.lora } } : config;
}

function checkDecoderFits(config: MultimodalConfig, files: VisualDecoderFiles, base: string): void {
  const { unet, vae } = files.config;
  if (unet.crossAttentionWidth !== config.llama.width) {
    throw inconsistent(
      join(base, 'unet/config.json'),
      `cross_attention_dim ${unet.crossAttentionWidth} is not the language model's width ${config.llama.width}`,
      { cross_attention_dim: unet.crossAttentionWidth, width: config.llama.width },
    );
  }
  if (unet.inChannels !== vae.latentChannels || unet.outChannels !== vae.latentChannels) {
    throw inconsistent(
      join(base, 'unet/config.json'),
      `in_channels ${unet.inChannels} and out_channels ${unet.outChannels} are not the VAE's ` +
        `latent_channels ${vae.latentChannels}`,
      { in_channels: unet.inChannels, out_channels: unet.outChannels, latent_channels: vae.latentChannels },
    );
  }
}

async function findTokenizer(base: string): Promise<string | undefined> {
  const folders = ['', 'llama_config', 'multimodal_encoder', 'models/llama_config', '../llama_config'];
  const names = ['tokenizer.json', 'tokenizer.model'];
  const found = await firstThere(folders.flatMap((folder) => within(join(base, folder), names)));
  return found === undefined ? undefined : dirname(found);
}

async function readGeneration(base: string): Promise<Readonly<Record<string, unknown>>> {
  const path = await firstThere(
    within(base, ['generation_config.json', 'llama_config/generation_config.json']),
  );
  return path === undefined ? {} : readJsonObject(path);
}

async function assemble(
  layout: 'official' | 'converted',
  base: string,
  multimodal: EncoderTensors,
  config: MultimodalConfig,
  assumed: readonly string[],
): Promise<ModelFolder> {
  // The authors' instruction-tuned model cannot make pictures: its adapters belong to another language model.
  const visualDecoder = multimodal.lora ? undefined : await openVisualDecoder(base);
  if (visualDecoder) checkDecoderFits(config, visualDecoder, base);
  const tokenizerFolder = await findTokenizer(base);
  return {
    path: base,
    layout,
    config: visualDecoder ? { ...config, visualDecoder: visualDecoder.config } : config,
    multimodal,
    ...(visualDecoder ? { visualDecoder } : {}),
    ...(tokenizerFolder === undefined ? {} : { tokenizerFolder }),
    generation: await readGeneration(base),
    assumed,
  };
}

async function openConverted(path: string, options: OpenModelOptions): Promise<ModelFolder> {
  const configPath = join(path, 'config.json');
  const config = parseConvertedConfig({ path: configPath, json: await readJsonObject(configPath) });
  const stored = config.llama.lora;
  const alpha = options.loraAlpha ?? stored?.alpha;
  const file = await openFirst(within(path, weightNames));
  const multimodal = canonicalEncoder(file, alpha === undefined ? {} : { loraAlpha: alpha });
  if (Boolean(stored) !== Boolean(multimodal.lora) || stored?.rank !== multimodal.lora?.rank) {
    throw corrupt(
      { reader: 'weights', path: file.path },
      `adapters of rank ${multimodal.lora?.rank ?? 'none'} were found, config.json says rank ${stored?.rank ?? 'none'}`,
      { details: { found: multimodal.lora?.rank, configured: stored?.rank } },
    );
  }
  const llama = multimodal.lora ? { ...config.llama, lora: multimodal.lora } : config.llama;
  return assemble('converted', path, multimodal, { ...config, llama }, []);
}

/**
 * Opens a model: a folder in the published layout, a folder that `convertCheckpoint` wrote, or a single
 * checkpoint file whose configurations lie beside it. Everything is located and checked, no tensor is read.
 *
 * Published layout: `multimodal_encoder/pytorch_model.bin` (or `Emu-pretrain.pt`, `Emu-instruct.pt`), `unet/`,
 * `vae/`, `scheduler/`, `feature_extractor/`, `safety_checker/` in diffusers layout; `.safetensors` is preferred
 * to `.bin` where both are there. `Emu-14B.json`, `llama_config/` and `t5_config.json`, which the authors keep with
 * their code, are looked for in the folder, in `multimodal_encoder/`, in `models/` and in the folder above; where
 * they are absent, the published values are used and named in `assumed`.
 * @throws EmuError MODEL_NOT_FOUND, CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE, INVALID_CONFIG
 * Source: Emu1/models/pipeline.py `from_pretrained`, Emu1/inference.py.
 */
export async function openModelFolder(path: string, options: OpenModelOptions = {}): Promise<ModelFolder> {
  const { adapter, ...plain } = options;
  const folder = await openPlainFolder(path, plain);
  return adapter === undefined ? folder : withAdapter(folder, await openAdapter(adapter));
}

async function openPlainFolder(path: string, options: OpenModelOptions): Promise<ModelFolder> {
  if (await isConverted(path)) return openConverted(path, options);
  const { base, multimodal: weights } = await locate(path, options, { reader: 'weights', path });
  const file: TensorFile = await openTensorFile(weights);
  const { loraAlpha } = options;
  const multimodal = canonicalEncoder(file, loraAlpha === undefined ? {} : { loraAlpha });
  const assumed: string[] = [];
  const config = await officialConfig(base, multimodal, assumed);
  return assemble('official', base, multimodal, config, assumed);
}
