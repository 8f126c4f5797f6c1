import { z } from 'zod';

import type { SafetyCheckerConfig, UNetConfig, VaeConfig } from '../models/config.js';
import { checkConfig, epsilon, inconsistent, only, requireDivides, size } from './config-schema.js';
import type { ConfigFile } from './multimodal-config.js';

const channels = z.array(size.channels).min(1).max(16);

const unetSchema = z.looseObject({
  sample_size: size.image.default(64),
  in_channels: size.channels.default(4),
  out_channels: size.channels.default(4),
  block_out_channels: channels,
  down_block_types: z.array(z.enum(['CrossAttnDownBlock2D', 'DownBlock2D'])),
  up_block_types: z.array(z.enum(['CrossAttnUpBlock2D', 'UpBlock2D'])),
  layers_per_block: size.layers.default(2),
  attention_head_dim: z.union([size.heads, z.array(size.heads)]).default(8),
  cross_attention_dim: size.width,
  norm_num_groups: size.groups.default(32),
  norm_eps: epsilon.default(1e-5),
  flip_sin_to_cos: z.boolean().default(true),
  freq_shift: z.number().min(0).max(1).default(0),
  use_linear_projection: z.boolean().default(false),
  // Variants of the network that Emu's decoder is not.
  act_fn: only('silu'),
  mid_block_type: only('UNetMidBlock2DCrossAttn'),
  time_embedding_type: only('positional'),
  resnet_time_scale_shift: only('default'),
  center_input_sample: only(false),
  dual_cross_attention: only(false),
  only_cross_attention: only(false),
  class_embed_type: z.null().optional(),
  num_class_embeds: z.null().optional(),
  encoder_hid_dim: z.null().optional(),
  addition_embed_type: z.null().optional(),
  time_cond_proj_dim: z.null().optional(),
  conv_in_kernel: only(3),
  conv_out_kernel: only(3),
  downsample_padding: only(1),
  mid_block_scale_factor: only(1),
  resnet_out_scale_factor: only(1),
});

const vaeSchema = z.looseObject({
  sample_size: size.image.default(512),
  in_channels: size.channels.default(3),
  out_channels: size.channels.default(3),
  latent_channels: size.channels.default(4),
  block_out_channels: channels,
  down_block_types: z.array(z.literal('DownEncoderBlock2D')).optional(),
  up_block_types: z.array(z.literal('UpDecoderBlock2D')).optional(),
  layers_per_block: size.layers.default(1),
  norm_num_groups: size.groups.default(32),
  scaling_factor: z.number().gt(0).max(1e3).default(0.18215),
  act_fn: only('silu'),
});

const safetySchema = z.looseObject({
  projection_dim: size.width.default(512),
  vision_config: z.looseObject({
    image_size: size.image.default(224),
    patch_size: size.patch.default(32),
    hidden_size: size.width.default(768),
    num_hidden_layers: size.layers.default(12),
    num_attention_heads: size.heads.default(12),
    intermediate_size: size.width.default(3072),
    layer_norm_eps: epsilon.default(1e-5),
    hidden_act: z.enum(['quick_gelu', 'gelu']).default('quick_gelu'),
    num_channels: only(3),
  }),
});

function sameLength(path: string, wanted: readonly unknown[], list: readonly unknown[], name: string): void {
  if (list.length !== wanted.length) {
    throw inconsistent(path, `${name} has ${list.length} entries, block_out_channels has ${wanted.length}`, {
      [name]: list.length,
      block_out_channels: wanted.length,
    });
  }
}

/**
 * The sizes of a U-Net from its diffusers config.json, with the defaults of diffusers 0.15.1.
 * @throws EmuError INVALID_CONFIG
 */
export function unetConfig({ path, json }: ConfigFile): UNetConfig {
  const config = checkConfig(unetSchema, json, path);
  const blockChannels = config.block_out_channels;
  const heads = Array.isArray(config.attention_head_dim)
    ? config.attention_head_dim
    : blockChannels.map(() => config.attention_head_dim as number);
  sameLength(path, blockChannels, config.down_block_types, 'down_block_types');
  sameLength(path, blockChannels, config.up_block_types, 'up_block_types');
  sameLength(path, blockChannels, heads, 'attention_head_dim');
  blockChannels.forEach((count, level) => {
    requireDivides(path, ['norm_num_groups', config.norm_num_groups], ['block_out_channels', count]);
    requireDivides(path, ['attention_head_dim', heads[level] ?? 1], ['block_out_channels', count]);
  });
  return {
    sampleSize: config.sample_size,
    inChannels: config.in_channels,
    outChannels: config.out_channels,
    blockChannels,
    downBlocks: config.down_block_types,
    upBlocks: config.up_block_types,
    layersPerBlock: config.layers_per_block,
    heads,
    crossAttentionWidth: config.cross_attention_dim,
    groups: config.norm_num_groups,
    epsilon: config.norm_eps,
    flipSinToCos: config.flip_sin_to_cos,
    frequencyShift: config.freq_shift,
    useLinearProjection: config.use_linear_projection,
  };
}

/**
 * The sizes of a VAE from its diffusers config.json, with the defaults of diffusers 0.15.1.
 * @throws EmuError INVALID_CONFIG
 */
export function vaeConfig({ path, json }: ConfigFile): VaeConfig {
  const config = checkConfig(vaeSchema, json, path);
  const blockChannels = config.block_out_channels;
  if (config.down_block_types) sameLength(path, blockChannels, config.down_block_types, 'down_block_types');
  if (config.up_block_types) sameLength(path, blockChannels, config.up_block_types, 'up_block_types');
  for (const count of blockChannels) {
    requireDivides(path, ['norm_num_groups', config.norm_num_groups], ['block_out_channels', count]);
  }
  return {
    sampleSize: config.sample_size,
    inChannels: config.in_channels,
    outChannels: config.out_channels,
    latentChannels: config.latent_channels,
    blockChannels,
    layersPerBlock: config.layers_per_block,
    groups: config.norm_num_groups,
    scalingFactor: config.scaling_factor,
  };
}

/**
 * The sizes of the safety checker from its transformers config.json. The number of concepts is fixed in the
 * published code: 17, and 3 that call for special care.
 * @throws EmuError INVALID_CONFIG
 */
export function safetyCheckerConfig({ path, json }: ConfigFile): SafetyCheckerConfig {
  const { projection_dim, vision_config: vision } = checkConfig(safetySchema, json, path);
  requireDivides(path, ['patch_size', vision.patch_size], ['image_size', vision.image_size]);
  requireDivides(
    path,
    ['num_attention_heads', vision.num_attention_heads],
    ['hidden_size', vision.hidden_size],
  );
  return {
    imageSize: vision.image_size,
    patchSize: vision.patch_size,
    width: vision.hidden_size,
    layers: vision.num_hidden_layers,
    heads: vision.num_attention_heads,
    mlpWidth: vision.intermediate_size,
    projectionWidth: projection_dim,
    epsilon: vision.layer_norm_eps,
    activation: vision.hidden_act === 'gelu' ? 'gelu' : 'quickGelu',
    concepts: 17,
    specialCareConcepts: 3,
  };
}
