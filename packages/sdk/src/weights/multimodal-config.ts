import { z } from 'zod';

import type {
  CausalTransformerConfig,
  EvaVitConfig,
  LlamaConfig,
  MultimodalConfig,
} from '../models/config.js';
import { checkConfig, epsilon, inconsistent, only, requireDivides, size } from './config-schema.js';

const emuSchema = z.looseObject({
  embed_dim: size.width,
  vision_cfg: z.looseObject({
    image_size: size.image,
    patch_size: size.patch,
    width: size.width,
    layers: size.layers,
    head_width: size.width.default(64),
    mlp_ratio: z.number().gt(0).max(64).default(4),
    // Switches of EVA-CLIP that would make another network.
    qkv_bias: only(true),
    ls_init_value: z.null().optional(),
    global_average_pool: only(false),
    rope: only(false),
    postnorm: only(false),
    subln: only(false),
    naiveswiglu: only(false),
  }),
  multimodal_cfg: z.looseObject({ n_causal: size.positions }),
  vladapter_cfg: z.looseObject({ name: only('cformer'), n_causal: size.positions.optional() }),
});

const llamaSchema = z.looseObject({
  hidden_size: size.width,
  intermediate_size: size.width,
  num_attention_heads: size.heads,
  num_key_value_heads: size.heads.nullish(),
  num_hidden_layers: size.layers,
  vocab_size: size.vocabulary,
  max_position_embeddings: size.positions.default(2048),
  rms_norm_eps: epsilon.default(1e-6),
  rope_theta: z.number().min(1).max(1e9).default(10000),
  rope_scaling: z.null().optional(),
  hidden_act: only('silu'),
  attention_bias: only(false),
  tie_word_embeddings: only(false),
});

const t5Schema = z.looseObject({
  d_model: size.width,
  d_kv: size.width,
  d_ff: size.width,
  num_heads: size.heads,
  num_layers: size.layers,
  num_decoder_layers: size.layers.nullish(),
  relative_attention_num_buckets: size.buckets.default(32),
  relative_attention_max_distance: z
    .int()
    .min(2)
    .max(1 << 20)
    .default(128),
  layer_norm_epsilon: epsilon.default(1e-6),
  feed_forward_proj: only('relu'),
});

/** What the authors' repository ships as Emu1/models/Emu-14B.json; used where a folder has none. */
export const publishedEmuJson = {
  embed_dim: 1024,
  vision_cfg: {
    image_size: 224,
    layers: 40,
    width: 1408,
    head_width: 88,
    mlp_ratio: 4.3637,
    patch_size: 14,
  },
  multimodal_cfg: { name: 'llama-13B', n_causal: 32 },
  vladapter_cfg: { name: 'cformer', n_causal: 32 },
} as const;

/** What the authors' repository ships as Emu1/models/llama_config/config.json (LLaMA-1 13B). */
export const publishedLlamaJson = {
  hidden_size: 5120,
  intermediate_size: 13824,
  num_attention_heads: 40,
  num_hidden_layers: 40,
  vocab_size: 32000,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  hidden_act: 'silu',
} as const;

/** The public configuration of `t5-base`, which the authors' code downloads (models/causal_former.py:25). */
export const t5BaseJson = {
  d_model: 768,
  d_kv: 64,
  d_ff: 3072,
  num_heads: 12,
  num_layers: 12,
  num_decoder_layers: 12,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  layer_norm_epsilon: 1e-6,
  feed_forward_proj: 'relu',
} as const;

/** A configuration file: its content, and its path for messages. */
export interface ConfigFile {
  readonly path: string;
  readonly json: unknown;
}

/** The three configurations that the authors' code reads. */
export interface OfficialConfigs {
  readonly emu: ConfigFile;
  readonly llama: ConfigFile;
  readonly t5: ConfigFile;
}

/** Vocabulary of the bare LLaMA tokenizer, without the tokens that Emu adds. */
export function baseVocabulary(llama: ConfigFile): number {
  return checkConfig(llamaSchema, llama.json, llama.path).vocab_size;
}

function evaVit({ path, json }: ConfigFile): EvaVitConfig & { readonly queries: number } {
  const config = checkConfig(emuSchema, json, path);
  const vision = config.vision_cfg;
  const queries = config.vladapter_cfg.n_causal ?? config.multimodal_cfg.n_causal;
  if (queries !== config.multimodal_cfg.n_causal) {
    throw inconsistent(
      path,
      `vladapter_cfg.n_causal ${queries} is not multimodal_cfg.n_causal ${config.multimodal_cfg.n_causal}`,
      { vladapter: queries, multimodal: config.multimodal_cfg.n_causal },
    );
  }
  requireDivides(path, ['patch_size', vision.patch_size], ['image_size', vision.image_size]);
  requireDivides(path, ['head_width', vision.head_width], ['width', vision.width]);
  return {
    imageSize: vision.image_size,
    patchSize: vision.patch_size,
    width: vision.width,
    layers: vision.layers,
    headWidth: vision.head_width,
    mlpWidth: Math.trunc(vision.width * vision.mlp_ratio),
    epsilon: 1e-6,
    headOutputWidth: config.embed_dim,
    queries,
  };
}

function llama({ path, json }: ConfigFile, vocabulary: number): LlamaConfig {
  const config = checkConfig(llamaSchema, json, path);
  const heads = config.num_attention_heads;
  if ((config.num_key_value_heads ?? heads) !== heads) {
    throw inconsistent(
      path,
      `num_key_value_heads ${config.num_key_value_heads} is not num_attention_heads ${heads}`,
      {
        num_key_value_heads: config.num_key_value_heads,
        num_attention_heads: heads,
      },
    );
  }
  requireDivides(path, ['num_attention_heads', heads], ['hidden_size', config.hidden_size]);
  if ((config.hidden_size / heads) % 2 !== 0) {
    throw inconsistent(
      path,
      `heads of width ${config.hidden_size / heads}: rotary positions need an even width`,
      {
        hidden_size: config.hidden_size,
        num_attention_heads: heads,
      },
    );
  }
  return {
    vocabulary,
    width: config.hidden_size,
    layers: config.num_hidden_layers,
    heads,
    feedForwardWidth: config.intermediate_size,
    epsilon: config.rms_norm_eps,
    ropeTheta: config.rope_theta,
    contextLength: config.max_position_embeddings,
  };
}

/**
 * The sizes of a multimodal encoder from the configuration files of the authors' code. `vocabulary` is the number
 * of rows of the token tables, added tokens included. Unknown keys are passed over; values are checked, and
 * settings that would make another network are refused.
 * @throws EmuError INVALID_CONFIG
 */
export function multimodalConfig(configs: OfficialConfigs, vocabulary: number): MultimodalConfig {
  const { queries, ...visual } = evaVit(configs.emu);
  const language = llama(configs.llama, vocabulary);
  const t5 = checkConfig(t5Schema, configs.t5.json, configs.t5.path);
  const causalTransformer: CausalTransformerConfig = {
    queries,
    width: t5.d_model,
    heads: t5.num_heads,
    headWidth: t5.d_kv,
    feedForwardWidth: t5.d_ff,
    layers: t5.num_decoder_layers ?? t5.num_layers,
    encoderWidth: visual.width,
    outputWidth: language.width,
    relativeAttentionBuckets: t5.relative_attention_num_buckets,
    relativeAttentionMaxDistance: t5.relative_attention_max_distance,
    epsilon: t5.layer_norm_epsilon,
  };
  return { visual, causalTransformer, llama: language };
}

const multimodalSchema = z.strictObject({
  visual: z.strictObject({
    imageSize: size.image,
    patchSize: size.patch,
    width: size.width,
    layers: size.layers,
    headWidth: size.width,
    mlpWidth: size.width,
    epsilon,
    headOutputWidth: size.width,
  }),
  causalTransformer: z.strictObject({
    queries: size.positions,
    width: size.width,
    heads: size.heads,
    headWidth: size.width,
    feedForwardWidth: size.width,
    layers: size.layers,
    encoderWidth: size.width,
    outputWidth: size.width,
    relativeAttentionBuckets: size.buckets,
    relativeAttentionMaxDistance: z
      .int()
      .min(2)
      .max(1 << 20),
    epsilon,
  }),
  llama: z.strictObject({
    vocabulary: size.vocabulary,
    width: size.width,
    layers: size.layers,
    heads: size.heads,
    feedForwardWidth: size.width,
    epsilon,
    ropeTheta: z.number().min(1).max(1e9),
    contextLength: size.positions,
    lora: z
      .strictObject({
        rank: size.width,
        alpha: z.number().gt(0).max(1e6),
        targets: z.array(z.enum(['q_proj', 'k_proj', 'v_proj', 'o_proj'])).min(1),
      })
      .optional(),
  }),
});

/** The `config.json` of a converted model folder. */
export const convertedSchema = z.looseObject({
  model_type: z.literal('emu'),
  emu: multimodalSchema,
});

/**
 * Checks the `config.json` of a converted model folder.
 * @throws EmuError INVALID_CONFIG
 */
export function parseConvertedConfig({ path, json }: ConfigFile): MultimodalConfig {
  const { visual, causalTransformer, llama: language } = checkConfig(convertedSchema, json, path).emu;
  requireDivides(path, ['patchSize', visual.patchSize], ['imageSize', visual.imageSize]);
  requireDivides(path, ['headWidth', visual.headWidth], ['width', visual.width]);
  requireDivides(path, ['heads', language.heads], ['width', language.width]);
  if (causalTransformer.encoderWidth !== visual.width || causalTransformer.outputWidth !== language.width) {
    throw inconsistent(
      path,
      `causalTransformer reads width ${causalTransformer.encoderWidth} and makes ${causalTransformer.outputWidth}; ` +
        `visual has ${visual.width}, llama has ${language.width}`,
      { causalTransformer, visual: visual.width, llama: language.width },
    );
  }
  const { lora, ...plain } = language;
  return { visual, causalTransformer, llama: lora ? { ...plain, lora } : plain };
}
