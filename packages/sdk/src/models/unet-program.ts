import { permute, trace, type Program } from '@emu/program';

import { Parameters, type CheckpointTensor } from '../nn/parameters.js';
import { precisionOf, type ModelProgramOptions, type StageProbe } from '../nn/program-options.js';
import { atLevel, type UNetConfig } from './config.js';
import { predictNoise, unet } from './unet.js';

/** Sizes of one U-Net program. */
export interface UNetShape {
  readonly batch: number;
  /** Latent height and width: an eighth of the picture's. */
  readonly height: number;
  readonly width: number;
  /** N, condition vectors per batch element. */
  readonly tokens: number;
}

/** What the U-Net's tensors are called in a session: this and the checkpoint's name. */
export const unetPrefix = 'unet.';

/** Tensors of a U-Net checkpoint, by their names in the file. */
export function unetTensors(config: UNetConfig): readonly CheckpointTensor[] {
  return Parameters.askedBy((p) => unet(p, config));
}

/**
 * One prediction of the noise.
 * Inputs: `sample` f32[B,4,h,w]; `timeFeatures` f32[B,C0] from `timestepProjection`; `condition` f32[B,N,D].
 * Output: `noise` f32[B,4,h,w]. With `stages` also `time_embedding`, `conv_in`, `down0.resnet0`, `down0.attn0`, `down0`,
 * ..., `mid_block`, `up0`, ..., pictures as [B,C,h,w].
 */
export function unetProgram(
  config: UNetConfig,
  shape: UNetShape,
  options: ModelProgramOptions = {},
): Program {
  const { batch, height, width, tokens } = shape;
  return trace(`unet.${batch}x${height}x${width}`, (t) => {
    const model = unet(Parameters.of(t, precisionOf(options), unetPrefix), config);
    const sample = t.input('sample', [batch, config.inChannels, height, width]);
    const timeFeatures = t.input('timeFeatures', [batch, atLevel(config.blockChannels, 0, 'blockChannels')]);
    const condition = t.input('condition', [batch, tokens, config.crossAttentionWidth]);
    const probe: StageProbe = (stage, value) => {
      if (options.stages !== true) return;
      t.output(stage, value.shape.length === 4 ? permute(value, [0, 3, 1, 2]) : value);
    };
    const channelsLast = permute(sample, [0, 2, 3, 1]);
    const noise = predictNoise(model, channelsLast, timeFeatures, condition, config, probe);
    t.output('noise', permute(noise, [0, 3, 1, 2]));
  });
}

/**
 * Sinusoidal features of diffusion timesteps: the `timeFeatures` input of `unetProgram`.
 * timesteps 0..999, one per batch element (not necessarily whole) -> f32[B,width] row-major; an odd width ends in 0.
 * Source: diffusers v0.15.1 get_timestep_embedding with max_period 10000; in f32 as there.
 */
export function timestepProjection(
  timesteps: readonly number[],
  width: number,
  { flipSinToCos, frequencyShift }: Pick<UNetConfig, 'flipSinToCos' | 'frequencyShift'>,
): Float32Array {
  const half = Math.floor(width / 2);
  const slope = Math.fround(-Math.log(10000));
  const features = new Float32Array(timesteps.length * width);
  const [sineStart, cosineStart] = flipSinToCos ? [half, 0] : [0, half];
  for (const [row, timestep] of timesteps.entries()) {
    for (let i = 0; i < half; i++) {
      const exponent = Math.fround(Math.fround(slope * i) / (half - frequencyShift));
      const angle = Math.fround(Math.fround(timestep) * Math.fround(Math.exp(exponent)));
      features[row * width + sineStart + i] = Math.sin(angle);
      features[row * width + cosineStart + i] = Math.cos(angle);
    }
  }
  return features;
}
