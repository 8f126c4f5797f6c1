import type { UNetConfig, VaeConfig } from '../models/config.js';

/** Our U-Net sizes as the config.json of diffusers' UNet2DConditionModel. */
export function unetJson(config: UNetConfig): Readonly<Record<string, unknown>> {
  return {
    _class_name: 'UNet2DConditionModel',
    act_fn: 'silu',
    // diffusers gives the number of heads this name.
    attention_head_dim: config.heads,
    block_out_channels: config.blockChannels,
    cross_attention_dim: config.crossAttentionWidth,
    down_block_types: config.downBlocks,
    flip_sin_to_cos: config.flipSinToCos,
    freq_shift: config.frequencyShift,
    in_channels: config.inChannels,
    layers_per_block: config.layersPerBlock,
    mid_block_type: 'UNetMidBlock2DCrossAttn',
    norm_eps: config.epsilon,
    norm_num_groups: config.groups,
    out_channels: config.outChannels,
    sample_size: config.sampleSize,
    up_block_types: config.upBlocks,
    use_linear_projection: config.useLinearProjection,
  };
}

/** Our autoencoder sizes as the config.json of diffusers' AutoencoderKL. */
export function vaeJson(config: VaeConfig): Readonly<Record<string, unknown>> {
  return {
    _class_name: 'AutoencoderKL',
    act_fn: 'silu',
    block_out_channels: config.blockChannels,
    down_block_types: config.blockChannels.map(() => 'DownEncoderBlock2D'),
    in_channels: config.inChannels,
    latent_channels: config.latentChannels,
    layers_per_block: config.layersPerBlock,
    norm_num_groups: config.groups,
    out_channels: config.outChannels,
    sample_size: config.sampleSize,
    scaling_factor: config.scalingFactor,
    up_block_types: config.blockChannels.map(() => 'UpDecoderBlock2D'),
  };
}

/** The scheduler settings that Stable Diffusion 1.5 was published with, and Emu with it. */
export const stableDiffusionScheduler = {
  _class_name: 'PNDMScheduler',
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  num_train_timesteps: 1000,
  prediction_type: 'epsilon',
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
} as const;
