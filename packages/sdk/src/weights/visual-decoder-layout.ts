import { join } from 'node:path';

import type { VisualDecoderConfig } from '../models/config.js';
import { canonicalVae } from './canonical-names.js';
import { notFound } from './checkpoint-error.js';
import { readJsonObject } from './json-file.js';
import type { ConfigFile } from './multimodal-config.js';
import { statOrUndefined } from './node-file.js';
import { openFirst } from './open.js';
import type { TensorFile } from './tensor-source.js';
import { safetyCheckerConfig, unetConfig, vaeConfig } from './visual-decoder-config.js';

/** The parts of a model folder that make pictures. */
export interface VisualDecoderFiles {
  readonly config: VisualDecoderConfig;
  readonly unet: TensorFile;
  /** Under the names of diffusers 0.15. */
  readonly vae: TensorFile;
  readonly safetyChecker?: TensorFile;
  /** Content of scheduler/scheduler_config.json; parsed by `parseSchedulerConfig`. */
  readonly scheduler?: Readonly<Record<string, unknown>>;
  /** Content of feature_extractor/preprocessor_config.json: how pictures are prepared for the safety checker. */
  readonly featureExtractor?: Readonly<Record<string, unknown>>;
}

/** Names of weights in a folder of diffusers or transformers, in the order they are looked for. */
function weightFiles(folder: string, stem: string, pickle: string): string[] {
  return [
    `${stem}.safetensors`,
    `${stem}.safetensors.index.json`,
    `${pickle}.bin`,
    `${pickle}.bin.index.json`,
  ].map((name) => join(folder, name));
}

async function isFolder(path: string): Promise<boolean> {
  return (await statOrUndefined(path))?.isDirectory() ?? false;
}

async function config(folder: string): Promise<ConfigFile> {
  const path = join(folder, 'config.json');
  return { path, json: await readJsonObject(path) };
}

async function optionalJson(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  return (await statOrUndefined(path)) ? readJsonObject(path) : undefined;
}

/**
 * Opens `unet/`, `vae/`, `safety_checker/`, `scheduler/` and `feature_extractor/` below a model folder; undefined
 * when there is neither a U-Net nor a VAE. The safety checker, scheduler and feature extractor may be absent.
 * @throws EmuError MODEL_NOT_FOUND if one of unet/ and vae/ is there without the other, or lacks its files;
 * CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE, INVALID_CONFIG
 */
export async function openVisualDecoder(base: string): Promise<VisualDecoderFiles | undefined> {
  const folders = { unet: join(base, 'unet'), vae: join(base, 'vae'), safety: join(base, 'safety_checker') };
  const [hasUnet, hasVae] = [await isFolder(folders.unet), await isFolder(folders.vae)];
  if (!hasUnet && !hasVae) return undefined;
  if (!hasUnet || !hasVae) {
    const [there, absent] = hasUnet ? ['unet', 'vae'] : ['vae', 'unet'];
    throw notFound({ reader: 'weights', path: base }, `has the folder ${there} but not ${absent}`, {
      details: { there, absent },
    });
  }
  const unetSizes = unetConfig(await config(folders.unet));
  const vaeSizes = vaeConfig(await config(folders.vae));
  const diffusion = 'diffusion_pytorch_model';
  const unet = await openFirst(weightFiles(folders.unet, diffusion, diffusion));
  const vae = canonicalVae(await openFirst(weightFiles(folders.vae, diffusion, diffusion)));
  const scheduler = await optionalJson(join(base, 'scheduler/scheduler_config.json'));
  const featureExtractor = await optionalJson(join(base, 'feature_extractor/preprocessor_config.json'));
  const rest = { ...(scheduler ? { scheduler } : {}), ...(featureExtractor ? { featureExtractor } : {}) };
  if (!(await isFolder(folders.safety))) {
    return { config: { unet: unetSizes, vae: vaeSizes }, unet, vae, ...rest };
  }
  const safetySizes = safetyCheckerConfig(await config(folders.safety));
  const safetyChecker = await openFirst(weightFiles(folders.safety, 'model', 'pytorch_model'));
  return {
    config: { unet: unetSizes, vae: vaeSizes, safetyChecker: safetySizes },
    unet,
    vae,
    safetyChecker,
    ...rest,
  };
}
