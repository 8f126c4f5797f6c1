import { readFile } from 'node:fs/promises';

import { EmuError } from '@emu/program';
import { z } from 'zod';

import type { EmuConfig, VisualDecoderConfig } from '../models/config.js';
import { checkConfig, epsilon, inconsistent, size } from '../weights/config-schema.js';
import { parseConvertedConfig } from '../weights/multimodal-config.js';
import { unetConfig, vaeConfig } from '../weights/visual-decoder-config.js';
import { unetJson, vaeJson } from './diffusers-json.js';

const channels = z.array(size.channels).min(1).max(16);

const decoderSchema = z.strictObject({
  unet: z.strictObject({
    sampleSize: size.image,
    inChannels: size.channels,
    outChannels: size.channels,
    blockChannels: channels,
    downBlocks: z.array(z.enum(['CrossAttnDownBlock2D', 'DownBlock2D'])),
    upBlocks: z.array(z.enum(['CrossAttnUpBlock2D', 'UpBlock2D'])),
    layersPerBlock: size.layers,
    heads: z.array(size.heads),
    crossAttentionWidth: size.width,
    groups: size.groups,
    epsilon,
    flipSinToCos: z.boolean(),
    frequencyShift: z.number().min(0).max(1),
    useLinearProjection: z.boolean(),
  }),
  vae: z.strictObject({
    sampleSize: size.image,
    inChannels: size.channels,
    outChannels: size.channels,
    latentChannels: size.channels,
    blockChannels: channels,
    layersPerBlock: size.layers,
    groups: size.groups,
    scalingFactor: z.number().gt(0).max(1e3),
  }),
  safetyChecker: z.unknown().optional(),
});

const wholeSchema = z.strictObject({
  visual: z.unknown(),
  causalTransformer: z.unknown(),
  llama: z.unknown(),
  visualDecoder: decoderSchema.optional(),
});

function checkDecoder(
  decoder: z.output<typeof decoderSchema>,
  width: number,
  path: string,
): VisualDecoderConfig {
  if (decoder.safetyChecker !== undefined) {
    throw inconsistent(
      path,
      'visualDecoder.safetyChecker cannot be initialised: untrained, it would flag at random',
      {
        safetyChecker: decoder.safetyChecker,
      },
    );
  }
  // The published readers know how the sizes must go together; they are asked in their own words.
  const unet = unetConfig({ path: `${path} (visualDecoder.unet)`, json: unetJson(decoder.unet) });
  const vae = vaeConfig({ path: `${path} (visualDecoder.vae)`, json: vaeJson(decoder.vae) });
  if (unet.crossAttentionWidth !== width) {
    throw inconsistent(
      path,
      `unet.crossAttentionWidth ${unet.crossAttentionWidth} is not llama.width ${width}`,
      {
        crossAttentionWidth: unet.crossAttentionWidth,
        width,
      },
    );
  }
  if (unet.inChannels !== vae.latentChannels || unet.outChannels !== vae.latentChannels) {
    throw inconsistent(
      path,
      `unet.inChannels ${unet.inChannels} and outChannels ${unet.outChannels} are not vae.latentChannels ` +
        String(vae.latentChannels),
      { inChannels: unet.inChannels, outChannels: unet.outChannels, latentChannels: vae.latentChannels },
    );
  }
  return { unet, vae };
}

/**
 * Checks the sizes of a model to be made, in the words of `EmuConfig`. Unknown keys are refused. `path` names the
 * file in messages.
 * @throws EmuError INVALID_CONFIG naming file, key and value.
 */
export function parseEmuConfig(json: unknown, path: string): EmuConfig {
  const { visualDecoder, ...multimodal } = checkConfig(wholeSchema, json, path);
  const encoder = parseConvertedConfig({ path, json: { model_type: 'emu', emu: multimodal } });
  if (visualDecoder === undefined) return encoder;
  return { ...encoder, visualDecoder: checkDecoder(visualDecoder, encoder.llama.width, path) };
}

/**
 * Reads the sizes of a model from a file such as `models/emu-demo.json`.
 * @throws EmuError MODEL_NOT_FOUND if there is no such file, INVALID_CONFIG if it is not JSON or not such a file.
 */
export async function readEmuConfig(path: string): Promise<EmuConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new EmuError('MODEL_NOT_FOUND', `[config] ${path} cannot be read`, { cause, details: { path } });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new EmuError('INVALID_CONFIG', `[config] ${path}: not JSON: ${problem}`, {
      cause,
      details: { path },
    });
  }
  return parseEmuConfig(json, path);
}
