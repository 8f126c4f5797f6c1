import { activation, concat, type Value } from '@emu/program';

import { project } from '../nn/layers.js';
import {
  repeated,
  type ConvolutionParameters,
  type LinearParameters,
  type NormParameters,
  type Parameters,
} from '../nn/parameters.js';
import type { StageProbe } from '../nn/program-options.js';
import {
  convolve3,
  downsample,
  groupNormSilu,
  residual,
  residualBlock,
  upsample,
  type ResidualBlock,
} from '../nn/residual-block.js';
import { atLevel, type UNetConfig } from './config.js';
import { spatialTransformer, transformSpatially, type SpatialTransformer } from './unet-transformer.js';

/*
 * The conditional U-Net of Stable Diffusion 1.x: diffusers v0.15.1 UNet2DConditionModel. Every residual block's
 * output on the way down is kept and joined, last first, on the way up.
 */

interface Layer {
  readonly residual: ResidualBlock;
  readonly transformer: SpatialTransformer | null;
}

interface Resolution {
  readonly layers: readonly Layer[];
  /** Convolution to the next resolution; the last one has none. */
  readonly resample: ConvolutionParameters | null;
}

/** The whole network; `down` is finest first, `up` coarsest first. */
export interface UNet {
  readonly timeIn: LinearParameters;
  readonly timeOut: LinearParameters;
  readonly convIn: ConvolutionParameters;
  readonly down: readonly Resolution[];
  readonly middle: {
    readonly first: ResidualBlock;
    readonly transformer: SpatialTransformer;
    readonly second: ResidualBlock;
  };
  readonly up: readonly Resolution[];
  readonly normOut: NormParameters;
  readonly convOut: ConvolutionParameters;
}

/** The time embedding is four times as wide as the finest resolution. */
function timeWidth(config: UNetConfig): number {
  return 4 * channelsAt(0, config);
}

function channelsAt(level: number, { blockChannels }: UNetConfig): number {
  return atLevel(blockChannels, level, 'blockChannels');
}

function headsAt(level: number, { heads }: UNetConfig): number {
  return atLevel(heads, level, 'heads');
}

/** Asks for the parameters by diffusers' names. @throws EmuError INVALID_CONFIG if a list of the configuration is short. */
export function unet(p: Parameters, config: UNetConfig): UNet {
  const { blockChannels, inChannels, outChannels } = config;
  const finest = channelsAt(0, config);
  const width = timeWidth(config);
  return {
    convIn: p.convolution('conv_in', inChannels, finest, 3),
    timeIn: p.in('time_embedding').linear('linear_1', finest, width),
    timeOut: p.in('time_embedding').linear('linear_2', width, width),
    down: repeated(blockChannels.length, (level) =>
      downResolution(p.in('down_blocks').in(level), level, config),
    ),
    middle: middleBlock(p.in('mid_block'), config),
    up: repeated(blockChannels.length, (step) => upResolution(p.in('up_blocks').in(step), step, config)),
    normOut: p.norm('conv_norm_out', finest),
    convOut: p.convolution('conv_out', finest, outChannels, 3),
  };
}

function downResolution(p: Parameters, level: number, config: UNetConfig): Resolution {
  const { blockChannels, layersPerBlock, downBlocks } = config;
  const outputs = channelsAt(level, config);
  const inputs = channelsAt(Math.max(level - 1, 0), config);
  const attends = atLevel(downBlocks, level, 'downBlocks') === 'CrossAttnDownBlock2D';
  return {
    layers: repeated(layersPerBlock, (layer) =>
      unetLayer(
        p,
        layer,
        layer === 0 ? inputs : outputs,
        outputs,
        attends ? headsAt(level, config) : 0,
        config,
      ),
    ),
    resample:
      level === blockChannels.length - 1
        ? null
        : p.in('downsamplers.0').convolution('conv', outputs, outputs, 3),
  };
}

function upResolution(p: Parameters, step: number, config: UNetConfig): Resolution {
  const { blockChannels, layersPerBlock, upBlocks } = config;
  const level = blockChannels.length - 1 - step;
  const outputs = channelsAt(level, config);
  const fromBelow = channelsAt(Math.min(level + 1, blockChannels.length - 1), config);
  const lastSkip = channelsAt(Math.max(level - 1, 0), config);
  const attends = atLevel(upBlocks, step, 'upBlocks') === 'CrossAttnUpBlock2D';
  return {
    layers: repeated(layersPerBlock + 1, (layer) => {
      const skip = layer === layersPerBlock ? lastSkip : outputs;
      const inputs = (layer === 0 ? fromBelow : outputs) + skip;
      return unetLayer(p, layer, inputs, outputs, attends ? headsAt(level, config) : 0, config);
    }),
    resample: level === 0 ? null : p.in('upsamplers.0').convolution('conv', outputs, outputs, 3),
  };
}

/** `heads` 0: no attention at this resolution. */
function unetLayer(
  p: Parameters,
  index: number,
  inputs: number,
  outputs: number,
  heads: number,
  config: UNetConfig,
): Layer {
  return {
    residual: residualBlock(p.in('resnets').in(index), inputs, outputs, timeWidth(config)),
    transformer:
      heads === 0 ? null : spatialTransformer(p.in('attentions').in(index), outputs, heads, config),
  };
}

function middleBlock(p: Parameters, config: UNetConfig): UNet['middle'] {
  const coarsest = config.blockChannels.length - 1;
  const channels = channelsAt(coarsest, config);
  return {
    first: residualBlock(p.in('resnets.0'), channels, channels, timeWidth(config)),
    transformer: spatialTransformer(p.in('attentions.0'), channels, headsAt(coarsest, config), config),
    second: residualBlock(p.in('resnets.1'), channels, channels, timeWidth(config)),
  };
}

/**
 * Predicted noise.
 * sample f32[B,H,W,4], timeFeatures f32[B,C0] from `timestepProjection`, condition f32[B,N,crossAttentionWidth]
 * -> f32[B,H,W,4]. Any size: each upsampler is told the size it has to reach.
 */
export function predictNoise(
  model: UNet,
  sample: Value,
  timeFeatures: Value,
  condition: Value,
  config: UNetConfig,
  probe: StageProbe,
): Value {
  const time = project(project(timeFeatures, model.timeIn, { activation: 'silu' }), model.timeOut);
  probe('time_embedding', time);
  // Blocks read the embedding only through SiLU: applied once, here.
  const pass: Pass = { time: activation(time, 'silu'), condition, config, probe };
  const { features, skips } = goDown(sample, model, pass);
  const finest = goUp(goThrough(features, model.middle, pass), skips, model, pass);
  return convolve3(groupNormSilu(finest, model.normOut, config), model.convOut);
}

/** What every block of one prediction reads besides its own input. */
interface Pass {
  readonly time: Value;
  readonly condition: Value;
  readonly config: UNetConfig;
  readonly probe: StageProbe;
}

/** The coarsest features, and everything the way up will join, the last first to be used. */
function goDown(
  sample: Value,
  model: UNet,
  pass: Pass,
): { readonly features: Value; readonly skips: Value[] } {
  let x = convolve3(sample, model.convIn);
  pass.probe('conv_in', x);
  const skips = [x];
  for (const [level, { layers, resample }] of model.down.entries()) {
    for (const [index, layer] of layers.entries()) {
      x = runLayer(x, layer, pass, `down${level}`, index);
      skips.push(x);
    }
    if (resample !== null) {
      x = downsample(x, resample, [1, 1, 1, 1]);
      skips.push(x);
    }
    pass.probe(`down${level}`, x);
  }
  return { features: x, skips };
}

function goThrough(features: Value, { first, transformer, second }: UNet['middle'], pass: Pass): Value {
  const attended = runLayer(features, { residual: first, transformer }, pass, 'mid', 0);
  const x = residual(attended, second, pass.time, pass.config);
  pass.probe('mid_block', x);
  return x;
}

function goUp(features: Value, skips: readonly Value[], model: UNet, pass: Pass): Value {
  const waiting = [...skips];
  let x = features;
  for (const [step, { layers, resample }] of model.up.entries()) {
    for (const [index, layer] of layers.entries()) {
      x = runLayer(concat([x, waiting.pop() as Value], 3), layer, pass, `up${step}`, index);
    }
    const target = waiting.at(-1);
    if (resample !== null && target !== undefined) x = upsample(x, resample, target.side(1), target.side(2));
    pass.probe(`up${step}`, x);
  }
  return x;
}

function runLayer(x: Value, layer: Layer, pass: Pass, resolution: string, index: number): Value {
  const { time, condition, config, probe } = pass;
  const h = residual(x, layer.residual, time, config);
  probe(`${resolution}.resnet${index}`, h);
  if (layer.transformer === null) return h;
  return transformSpatially(h, condition, layer.transformer, config.groups, (block) => {
    probe(`${resolution}.attn${index}`, block);
  });
}
