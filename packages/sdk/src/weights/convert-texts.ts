import { dirname, join } from 'node:path';

import type { PlannedComponent, WeightDType } from './convert-plan.js';
import { statOrUndefined } from './node-file.js';
import type { ModelFolder } from './official-layout.js';
import { readJsonObject } from './json-file.js';

/** A small file of a model folder: text made here, or a copy. `path` is relative to the target folder. */
export type TextFile =
  | { readonly kind: 'text'; readonly path: string; readonly text: string }
  | { readonly kind: 'copy'; readonly path: string; readonly from: string };

const tokenizerFiles = [
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'special_tokens_map.json',
];

/** Defaults of `Emu.generate` in the authors' code (models/modeling_emu.py lines 100-118). */
export const generationDefaults = {
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 32000,
  do_sample: false,
  num_beams: 5,
  max_new_tokens: 50,
  min_length: 1,
  top_p: 0.9,
  temperature: 1,
  repetition_penalty: 1,
  length_penalty: 0,
} as const;

/** CLIP's mean and deviation, as the authors' code normalises pictures (utils.py lines 17-30). */
export const pictureNormalisation = {
  do_resize: true,
  resample: 3,
  do_center_crop: false,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
} as const;

/** A JSON file as all of ours are written. */
export function jsonText(path: string, value: unknown): TextFile {
  return { kind: 'text', path, text: `${JSON.stringify(value, null, 2)}\n` };
}

async function copies(folder: string, names: readonly string[]): Promise<TextFile[]> {
  const found: TextFile[] = [];
  for (const name of names) {
    const from = join(folder, name);
    if (await statOrUndefined(from)) found.push({ kind: 'copy', path: name, from });
  }
  return found;
}

/** The folder that a component's configuration lies in: that of its weights. */
async function componentConfig(path: string, folder: string): Promise<TextFile> {
  return jsonText(`${folder}/config.json`, await readJsonObject(join(dirname(path), 'config.json')));
}

function className(config: Readonly<Record<string, unknown>>): string {
  const name = config['_class_name'];
  return typeof name === 'string' ? name : 'PNDMScheduler';
}

async function visualDecoderTexts(model: ModelFolder): Promise<TextFile[]> {
  const { visualDecoder } = model;
  if (!visualDecoder) return [];
  const { unet, vae, safetyChecker, scheduler, featureExtractor } = visualDecoder;
  const index = {
    _class_name: 'EmuGenerationPipeline',
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
    ...(scheduler ? { scheduler: ['diffusers', className(scheduler)] } : {}),
    ...(safetyChecker ? { safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'] } : {}),
    ...(featureExtractor ? { feature_extractor: ['transformers', 'CLIPImageProcessor'] } : {}),
  };
  return [
    await componentConfig(unet.path, 'unet'),
    await componentConfig(vae.path, 'vae'),
    ...(safetyChecker ? [await componentConfig(safetyChecker.path, 'safety_checker')] : []),
    ...(scheduler ? [jsonText('scheduler/scheduler_config.json', scheduler)] : []),
    ...(featureExtractor ? [jsonText('feature_extractor/preprocessor_config.json', featureExtractor)] : []),
    jsonText('model_index.json', index),
  ];
}

/**
 * All files of a converted folder other than weights, `config.json` last: it is what makes the folder a model.
 * @throws EmuError MODEL_NOT_FOUND, CHECKPOINT_CORRUPT
 */
export async function convertedTexts(
  model: ModelFolder,
  dtype: WeightDType,
  planned: readonly PlannedComponent[],
): Promise<readonly TextFile[]> {
  const { visual, causalTransformer, llama } = model.config;
  const side = visual.imageSize;
  return [
    ...planned.flatMap(({ index }) => (index ? [jsonText(index.path, index.json)] : [])),
    ...(model.tokenizerFolder === undefined ? [] : await copies(model.tokenizerFolder, tokenizerFiles)),
    ...(await visualDecoderTexts(model)),
    jsonText('preprocessor_config.json', { ...pictureNormalisation, size: { height: side, width: side } }),
    jsonText('generation_config.json', { ...model.generation, ...generationDefaults }),
    jsonText('config.json', {
      architectures: ['EmuModel'],
      model_type: 'emu',
      torch_dtype: dtype === 'bf16' ? 'bfloat16' : 'float32',
      emu: { visual, causalTransformer, llama },
    }),
  ];
}
