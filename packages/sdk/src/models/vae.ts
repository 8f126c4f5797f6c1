import { attention, groupNorm, reshape, type Value } from '@emu/program';

import { project, splitHeads } from '../nn/layers.js';
import {
  repeated,
  type ConvolutionParameters,
  type LinearParameters,
  type NormParameters,
  type Parameters,
} from '../nn/parameters.js';
import {
  convolve1,
  convolve3,
  downsample,
  groupNormSilu,
  residual,
  residualBlock,
  upsample,
  type GroupNormConfig,
  type ResidualBlock,
} from '../nn/residual-block.js';
import { atLevel, type VaeConfig } from './config.js';

/*
 * The autoencoder of latent diffusion (Rombach et al. 2022): diffusers v0.15.1 AutoencoderKL. One attention head
 * over all places in the middle; no time embedding.
 */

interface Resolution {
  readonly blocks: readonly ResidualBlock[];
  /** Convolution to the next resolution; the last one has none. */
  readonly resample: ConvolutionParameters | null;
}

interface PlaceAttention {
  readonly norm: NormParameters;
  readonly q: LinearParameters;
  readonly k: LinearParameters;
  readonly v: LinearParameters;
  readonly output: LinearParameters;
}

interface Middle {
  readonly first: ResidualBlock;
  readonly attention: PlaceAttention;
  readonly second: ResidualBlock;
}

interface Half {
  readonly convIn: ConvolutionParameters;
  readonly resolutions: readonly Resolution[];
  readonly middle: Middle;
  readonly normOut: NormParameters;
  readonly convOut: ConvolutionParameters;
}

/** Pictures to moments. */
export interface VaeEncoder extends Half {
  readonly toMoments: ConvolutionParameters;
}

/** Latents to pictures. */
export interface VaeDecoder extends Half {
  readonly fromLatents: ConvolutionParameters;
}

const noTime = 0;

function channelsAt(level: number, { blockChannels }: VaeConfig): number {
  return atLevel(blockChannels, level, 'blockChannels');
}

function vaeNorm({ groups }: VaeConfig): GroupNormConfig {
  return { groups, epsilon: 1e-6 };
}

/** Asks for the encoder's parameters; `p` stands at the root of the checkpoint. */
export function vaeEncoder(p: Parameters, config: VaeConfig): VaeEncoder {
  const { blockChannels, inChannels, latentChannels, layersPerBlock } = config;
  const encoder = p.in('encoder');
  const levels = blockChannels.length;
  const finest = channelsAt(0, config);
  const coarsest = channelsAt(levels - 1, config);
  return {
    convIn: encoder.convolution('conv_in', inChannels, finest, 3),
    resolutions: repeated(levels, (level) => {
      const part = encoder.in('down_blocks').in(level);
      const outputs = channelsAt(level, config);
      const inputs = channelsAt(Math.max(level - 1, 0), config);
      return {
        blocks: blocks(part, layersPerBlock, inputs, outputs),
        resample:
          level === levels - 1 ? null : part.in('downsamplers.0').convolution('conv', outputs, outputs, 3),
      };
    }),
    middle: middle(encoder.in('mid_block'), coarsest),
    normOut: encoder.norm('conv_norm_out', coarsest),
    convOut: encoder.convolution('conv_out', coarsest, 2 * latentChannels, 3),
    toMoments: p.convolution('quant_conv', 2 * latentChannels, 2 * latentChannels, 1),
  };
}

/** Asks for the decoder's parameters; `p` stands at the root of the checkpoint. */
export function vaeDecoder(p: Parameters, config: VaeConfig): VaeDecoder {
  const { blockChannels, outChannels, latentChannels, layersPerBlock } = config;
  const decoder = p.in('decoder');
  const levels = blockChannels.length;
  const finest = channelsAt(0, config);
  const coarsest = channelsAt(levels - 1, config);
  return {
    fromLatents: p.convolution('post_quant_conv', latentChannels, latentChannels, 1),
    convIn: decoder.convolution('conv_in', latentChannels, coarsest, 3),
    middle: middle(decoder.in('mid_block'), coarsest),
    resolutions: repeated(levels, (step) => {
      const part = decoder.in('up_blocks').in(step);
      const outputs = channelsAt(levels - 1 - step, config);
      const inputs = channelsAt(Math.min(levels - step, levels - 1), config);
      return {
        blocks: blocks(part, layersPerBlock + 1, inputs, outputs),
        resample:
          step === levels - 1 ? null : part.in('upsamplers.0').convolution('conv', outputs, outputs, 3),
      };
    }),
    normOut: decoder.norm('conv_norm_out', finest),
    convOut: decoder.convolution('conv_out', finest, outChannels, 3),
  };
}

function blocks(p: Parameters, count: number, inputs: number, outputs: number): readonly ResidualBlock[] {
  return repeated(count, (index) =>
    residualBlock(p.in('resnets').in(index), index === 0 ? inputs : outputs, outputs, noTime),
  );
}

function middle(p: Parameters, channels: number): Middle {
  const attn = p.in('attentions.0');
  return {
    first: residualBlock(p.in('resnets.0'), channels, channels, noTime),
    attention: {
      norm: attn.norm('group_norm', channels),
      q: attn.linear('query', channels, channels),
      k: attn.linear('key', channels, channels),
      v: attn.linear('value', channels, channels),
      output: attn.linear('proj_attn', channels, channels),
    },
    second: residualBlock(p.in('resnets.1'), channels, channels, noTime),
  };
}

/**
 * Mean and log-variance of the latents, before the log-variance is clamped to -30..20.
 * image f32[B,H,W,3] in -1..1, sides multiples of 2^(levels-1) -> f32[B,H/8,W/8,2*latentChannels].
 */
export function encodeToMoments(model: VaeEncoder, image: Value, config: VaeConfig): Value {
  const norm = vaeNorm(config);
  let x = convolve3(image, model.convIn);
  for (const { blocks: run, resample } of model.resolutions) {
    for (const block of run) x = residual(x, block, null, norm);
    // The encoder pads only below and to the right.
    if (resample !== null) x = downsample(x, resample, [0, 1, 0, 1]);
  }
  x = passMiddle(x, model.middle, norm);
  return convolve1(convolve3(groupNormSilu(x, model.normOut, norm), model.convOut), model.toMoments);
}

/** latents f32[B,h,w,latentChannels], divided by scalingFactor -> picture f32[B,8h,8w,3], about -1..1. */
export function decodeLatents(model: VaeDecoder, latents: Value, config: VaeConfig): Value {
  const norm = vaeNorm(config);
  let x = convolve3(convolve1(latents, model.fromLatents), model.convIn);
  x = passMiddle(x, model.middle, norm);
  for (const { blocks: run, resample } of model.resolutions) {
    for (const block of run) x = residual(x, block, null, norm);
    if (resample !== null) x = upsample(x, resample, 2 * x.side(1), 2 * x.side(2));
  }
  return convolve3(groupNormSilu(x, model.normOut, norm), model.convOut);
}

function passMiddle(x: Value, p: Middle, norm: GroupNormConfig): Value {
  const h = attendPlaces(residual(x, p.first, null, norm), p.attention, norm);
  return residual(h, p.second, null, norm);
}

/** x + one-head attention over all places: diffusers v0.15.1 AttentionBlock. */
function attendPlaces(x: Value, p: PlaceAttention, { groups, epsilon }: GroupNormConfig): Value {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const normalized = groupNorm(x, p.norm.weight, p.norm.bias, { groups, epsilon, activation: 'none' });
  const places = reshape(normalized, [batch, height * width, channels]);
  const [q, k, v] = [p.q, p.k, p.v].map((part) => splitHeads(project(places, part), 1)) as [
    Value,
    Value,
    Value,
  ];
  const mixed = reshape(attention(q, k, v, { scale: channels ** -0.5 }), x.shape);
  return project(mixed, p.output, { residual: x });
}
