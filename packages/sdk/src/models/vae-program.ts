import { permute, trace, type Program } from '@emu/program';

import { Parameters, type CheckpointTensor } from '../nn/parameters.js';
import { precisionOf, type ModelProgramOptions } from '../nn/program-options.js';
import type { VaeConfig } from './config.js';
import { decodeLatents, encodeToMoments, vaeDecoder, vaeEncoder } from './vae.js';

/** What the VAE's tensors are called in a session: this and the checkpoint's name. */
export const vaePrefix = 'vae.';

/** Tensors of a VAE checkpoint, by their names in the file. */
export function vaeTensors(config: VaeConfig): readonly CheckpointTensor[] {
  return Parameters.askedBy((p) => [vaeEncoder(p, config), vaeDecoder(p, config)]);
}

/** Pixels per latent along a side: 8 for four resolutions. */
export function vaeScale(config: VaeConfig): number {
  return 2 ** (config.blockChannels.length - 1);
}

/** Sizes of one VAE program. */
export interface VaeShape {
  readonly batch: number;
  /** Height and width of the program's input. */
  readonly height: number;
  readonly width: number;
}

/**
 * Latents to pictures. Input: `latents` f32[B,4,h,w], already divided by scalingFactor.
 * Output: `image` f32[B,3,8h,8w], about -1..1, not clamped.
 */
export function vaeDecodeProgram(
  config: VaeConfig,
  shape: VaeShape,
  options: ModelProgramOptions = {},
): Program {
  const { batch, height, width } = shape;
  return trace(`vae-decode.${batch}x${height}x${width}`, (t) => {
    const model = vaeDecoder(Parameters.of(t, precisionOf(options), vaePrefix), config);
    const latents = t.input('latents', [batch, config.latentChannels, height, width]);
    const image = decodeLatents(model, permute(latents, [0, 2, 3, 1]), config);
    t.output('image', permute(image, [0, 3, 1, 2]));
  });
}

/**
 * Pictures to the moments of their latents. Input: `image` f32[B,3,H,W] in -1..1, sides multiples of 8.
 * Output: `moments` f32[B,8,H/8,W/8]: mean, then log-variance before it is clamped to -30..20.
 */
export function vaeEncodeProgram(
  config: VaeConfig,
  shape: VaeShape,
  options: ModelProgramOptions = {},
): Program {
  const { batch, height, width } = shape;
  return trace(`vae-encode.${batch}x${height}x${width}`, (t) => {
    const model = vaeEncoder(Parameters.of(t, precisionOf(options), vaePrefix), config);
    const image = t.input('image', [batch, config.inChannels, height, width]);
    const moments = encodeToMoments(model, permute(image, [0, 2, 3, 1]), config);
    t.output('moments', permute(moments, [0, 3, 1, 2]));
  });
}

/**
 * Mean and standard deviation of a Gaussian from the `moments` output; both [B,4,h,w] row-major.
 * Source: diffusers v0.15.1 DiagonalGaussianDistribution.
 */
export function gaussianOf(
  moments: Float32Array,
  batch: number,
): { readonly mean: Float32Array; readonly deviation: Float32Array } {
  const half = moments.length / batch / 2;
  const mean = new Float32Array(moments.length / 2);
  const deviation = new Float32Array(moments.length / 2);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < half; i++) {
      const logVariance = moments[(2 * b + 1) * half + i] ?? 0;
      mean[b * half + i] = moments[2 * b * half + i] ?? 0;
      deviation[b * half + i] = Math.exp(0.5 * Math.min(Math.max(logVariance, -30), 20));
    }
  }
  return { mean, deviation };
}
