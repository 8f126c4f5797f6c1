import { attention, gatedActivation, groupNorm, reshape, type Value } from '@emu/program';

import { mergeHeads, normalize, project, splitHeads, splitLast } from '../nn/layers.js';
import type {
  LinearParameters,
  NormParameters,
  Parameters,
  ConvolutionParameters,
} from '../nn/parameters.js';
import { convolve1 } from '../nn/residual-block.js';
import type { UNetConfig } from './config.js';

/*
 * The spatial transformer of latent diffusion (Rombach et al. 2022): self-attention over the places of the latent,
 * cross-attention to the condition, a GEGLU feed-forward. diffusers v0.15.1 Transformer2DModel with one
 * BasicTransformerBlock.
 */

interface BlockAttention {
  readonly norm: NormParameters;
  readonly q: LinearParameters;
  readonly k: LinearParameters;
  readonly v: LinearParameters;
  readonly output: LinearParameters;
}

/** proj_in and proj_out come as linear layers or as 1x1 convolutions, by `useLinearProjection`. */
type ChannelProjection =
  | { readonly kind: 'linear'; readonly parameters: LinearParameters }
  | { readonly kind: 'convolution'; readonly parameters: ConvolutionParameters };

/** One attention module of the U-Net. */
export interface SpatialTransformer {
  readonly norm: NormParameters;
  readonly input: ChannelProjection;
  readonly selfAttention: BlockAttention;
  readonly crossAttention: BlockAttention;
  readonly feedForwardNorm: NormParameters;
  readonly feedForwardIn: LinearParameters;
  readonly feedForwardOut: LinearParameters;
  readonly output: ChannelProjection;
  readonly heads: number;
}

// diffusers fixes these two: GroupNorm of Transformer2DModel and LayerNorm of BasicTransformerBlock.
const groupNormEpsilon = 1e-6;
const layerNormEpsilon = 1e-5;

/** Asks for the parameters; `p` stands at `attentions.<i>`. `channels` is a multiple of `heads`. */
export function spatialTransformer(
  p: Parameters,
  channels: number,
  heads: number,
  config: UNetConfig,
): SpatialTransformer {
  const block = p.in('transformer_blocks.0');
  const inner = 4 * channels;
  return {
    norm: p.norm('norm', channels),
    input: channelProjection(p, 'proj_in', channels, config),
    selfAttention: blockAttention(block, 1, channels, channels),
    crossAttention: blockAttention(block, 2, channels, config.crossAttentionWidth),
    feedForwardNorm: block.norm('norm3', channels),
    feedForwardIn: block.in('ff.net').linear('0.proj', channels, 2 * inner),
    feedForwardOut: block.in('ff.net').linear('2', inner, channels),
    output: channelProjection(p, 'proj_out', channels, config),
    heads,
  };
}

function channelProjection(
  p: Parameters,
  name: string,
  channels: number,
  { useLinearProjection }: UNetConfig,
): ChannelProjection {
  return useLinearProjection
    ? { kind: 'linear', parameters: p.linear(name, channels, channels) }
    : { kind: 'convolution', parameters: p.convolution(name, channels, channels, 1) };
}

function blockAttention(p: Parameters, index: 1 | 2, channels: number, keyWidth: number): BlockAttention {
  const part = p.in(`attn${index}`);
  return {
    norm: p.norm(`norm${index}`, channels),
    q: part.linearWithoutBias('to_q', channels, channels),
    k: part.linearWithoutBias('to_k', keyWidth, channels),
    v: part.linearWithoutBias('to_v', keyWidth, channels),
    output: part.linear('to_out.0', channels, channels),
  };
}

/**
 * x f32[B,H,W,C], condition f32[B,N,crossAttentionWidth] -> f32[B,H,W,C].
 * The probe sees the block's output before proj_out, f32[B,H*W,C].
 */
export function transformSpatially(
  x: Value,
  condition: Value,
  p: SpatialTransformer,
  groups: number,
  probe: (block: Value) => void,
): Value {
  const normalized = groupNorm(x, p.norm.weight, p.norm.bias, {
    groups,
    epsilon: groupNormEpsilon,
    activation: 'none',
  });
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const grid = projectChannels(normalized, p.input, null);
  let h = reshape(grid, [batch, height * width, channels]);
  const own = normalize(h, p.selfAttention.norm, layerNormEpsilon);
  h = attend(h, own, own, p.selfAttention, p.heads);
  h = attend(h, normalize(h, p.crossAttention.norm, layerNormEpsilon), condition, p.crossAttention, p.heads);
  h = feedForward(h, p);
  probe(h);
  return projectChannels(reshape(h, x.shape), p.output, x);
}

/** x + attention of the normalised places to `memory`. */
function attend(x: Value, query: Value, memory: Value, p: BlockAttention, heads: number): Value {
  const q = splitHeads(project(query, p.q), heads);
  const k = splitHeads(project(memory, p.k), heads);
  const v = splitHeads(project(memory, p.v), heads);
  return project(mergeHeads(attention(q, k, v, { scale: q.side(-1) ** -0.5 })), p.output, { residual: x });
}

/** x + GEGLU feed-forward (Shazeer 2020): the first half of the product is the value, the second its gate. */
function feedForward(x: Value, p: SpatialTransformer): Value {
  const both = project(normalize(x, p.feedForwardNorm, layerNormEpsilon), p.feedForwardIn);
  const [value, gate] = splitLast(both, 2) as [Value, Value];
  return project(gatedActivation(gate, value, 'gelu'), p.feedForwardOut, { residual: x });
}

function projectChannels(x: Value, p: ChannelProjection, skip: Value | null): Value {
  return p.kind === 'linear'
    ? project(x, p.parameters, { residual: skip })
    : convolve1(x, p.parameters, skip);
}
