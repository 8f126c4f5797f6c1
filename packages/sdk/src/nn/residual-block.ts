import { add, convolution, groupNorm, reshape, upsampleNearest, type Value } from '@emu/program';

import { project } from './layers.js';
import type { ConvolutionParameters, LinearParameters, NormParameters, Parameters } from './parameters.js';

/*
 * Convolution blocks that the U-Net and the VAE share (diffusers' models/resnet.py). Pictures and latents are
 * channels-last, [B,H,W,C], between the ends of a program.
 */

/** Two normalised 3x3 convolutions around a residual path. */
export interface ResidualBlock {
  readonly norm1: NormParameters;
  readonly conv1: ConvolutionParameters;
  /** Adds the time embedding after the first convolution; the VAE has none. */
  readonly time: LinearParameters | null;
  readonly norm2: NormParameters;
  readonly conv2: ConvolutionParameters;
  /** 1x1 convolution of the residual path where the number of channels changes. */
  readonly shortcut: ConvolutionParameters | null;
}

/** Groups and epsilon of every GroupNorm of a network. */
export interface GroupNormConfig {
  readonly groups: number;
  readonly epsilon: number;
}

/** Asks for a block's parameters by diffusers' names. `timeWidth` 0: no time embedding. */
export function residualBlock(
  p: Parameters,
  inputs: number,
  outputs: number,
  timeWidth: number,
): ResidualBlock {
  return {
    norm1: p.norm('norm1', inputs),
    conv1: p.convolution('conv1', inputs, outputs, 3),
    time: timeWidth === 0 ? null : p.linear('time_emb_proj', timeWidth, outputs),
    norm2: p.norm('norm2', outputs),
    conv2: p.convolution('conv2', outputs, outputs, 3),
    shortcut: inputs === outputs ? null : p.convolution('conv_shortcut', inputs, outputs, 1),
  };
}

/**
 * x f32[B,H,W,C], time f32[B,timeWidth] already through SiLU (the same for all blocks), or null -> f32[B,H,W,O].
 * Source: diffusers v0.15.1 ResnetBlock2D with time_embedding_norm "default" and output_scale_factor 1.
 */
export function residual(x: Value, p: ResidualBlock, time: Value | null, norm: GroupNormConfig): Value {
  let h = convolve3(groupNormSilu(x, p.norm1, norm), p.conv1);
  if (p.time !== null && time !== null) {
    const shift = project(time, p.time);
    h = add(h, reshape(shift, [shift.side(0), 1, 1, shift.side(1)])); // one shift per channel
  }
  const skip = p.shortcut === null ? x : convolve1(x, p.shortcut);
  return convolve3(groupNormSilu(h, p.norm2, norm), p.conv2, skip);
}

/** SiLU(GroupNorm(x)): [B,H,W,C] -> the same. */
export function groupNormSilu(x: Value, p: NormParameters, { groups, epsilon }: GroupNormConfig): Value {
  return groupNorm(x, p.weight, p.bias, { groups, epsilon, activation: 'silu' });
}

/** 3x3 convolution that keeps the size. */
export function convolve3(x: Value, p: ConvolutionParameters, skip: Value | null = null): Value {
  return convolution(x, p.weight, { bias: p.bias, residual: skip, stride: 1, padding: [1, 1, 1, 1] });
}

/** 1x1 convolution. */
export function convolve1(x: Value, p: ConvolutionParameters, skip: Value | null = null): Value {
  return convolution(x, p.weight, { bias: p.bias, residual: skip, stride: 1, padding: [0, 0, 0, 0] });
}

/** Halves the size by a strided 3x3 convolution; `padding` is [top,bottom,left,right]. */
export function downsample(
  x: Value,
  p: ConvolutionParameters,
  padding: readonly [number, number, number, number],
): Value {
  return convolution(x, p.weight, { bias: p.bias, stride: 2, padding });
}

/** Nearest neighbour to the given size, then a 3x3 convolution. */
export function upsample(x: Value, p: ConvolutionParameters, height: number, width: number): Value {
  return convolve3(upsampleNearest(x, { height, width }), p);
}
