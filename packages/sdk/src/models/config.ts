import { EmuError } from '@emu/program';

/*
 * Sizes of the networks as plain data. Nothing about sizes is in model code; these records come from the official
 * configuration files (weights/official-layout.ts reads and checks them) or from models/*.json.
 */

/** EVA-CLIP vision transformer (`vision_cfg` of Emu-14B.json). */
export interface EvaVitConfig {
  /** Side of the square picture in pixels; a multiple of `patchSize`. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  /** Width of one attention head; `width / headWidth` heads. */
  readonly headWidth: number;
  /** int(width * mlp_ratio): 6144 for 1408 * 4.3637. */
  readonly mlpWidth: number;
  /** Of every LayerNorm here and of `ln_visual`: 1e-6. */
  readonly epsilon: number;
  /** `embed_dim`: width of `visual.head`, which Emu itself never uses. */
  readonly headOutputWidth: number;
}

/** Causal Transformer: a T5 decoder that reads picture features into N causal embeddings (T5 configuration). */
export interface CausalTransformerConfig {
  /** N, the visual embeddings per picture: `n_causal`. */
  readonly queries: number;
  /** `d_model`. */
  readonly width: number;
  readonly heads: number;
  /** `d_kv`. */
  readonly headWidth: number;
  /** `d_ff`. */
  readonly feedForwardWidth: number;
  /** `num_decoder_layers`. */
  readonly layers: number;
  /** Width of the picture features that cross-attention reads: the ViT's. */
  readonly encoderWidth: number;
  /** Width of the embeddings it makes: the language model's. */
  readonly outputWidth: number;
  readonly relativeAttentionBuckets: number;
  readonly relativeAttentionMaxDistance: number;
  readonly epsilon: number;
}

/** Projections of a LLaMA layer that may carry an adapter. */
export type LoraTarget = 'q_proj' | 'k_proj' | 'v_proj' | 'o_proj';

/** Low-rank adapters (Hu et al. 2021) as peft keeps them: y = Wx + (alpha / rank) B(Ax). */
export interface LoraConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly LoraTarget[];
}

/** LLaMA with a language head and the regression head `stu_regress_head`. */
export interface LlamaConfig {
  /** Rows of both token tables, added tokens included. */
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  /** Of width `width / heads`, which is even. */
  readonly heads: number;
  readonly feedForwardWidth: number;
  readonly epsilon: number;
  readonly ropeTheta: number;
  /** Positions the model was trained for. */
  readonly contextLength: number;
  readonly lora?: LoraConfig;
}

/** Blocks on the way down: with or without attention. */
export type UNetDownBlockKind = 'CrossAttnDownBlock2D' | 'DownBlock2D';
/** Blocks on the way up: with or without attention. */
export type UNetUpBlockKind = 'CrossAttnUpBlock2D' | 'UpBlock2D';

/** Conditional U-Net of Stable Diffusion 1.x, in diffusers' terms. */
export interface UNetConfig {
  /** Latent side that the decoder was trained on; other sizes work. */
  readonly sampleSize: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Channels of each resolution, finest first: `block_out_channels`. */
  readonly blockChannels: readonly number[];
  /** As many as `blockChannels`, finest first. */
  readonly downBlocks: readonly UNetDownBlockKind[];
  /** As many as `blockChannels`, coarsest first. */
  readonly upBlocks: readonly UNetUpBlockKind[];
  readonly layersPerBlock: number;
  /** Attention heads per resolution. diffusers calls the number of heads `attention_head_dim`. */
  readonly heads: readonly number[];
  readonly crossAttentionWidth: number;
  readonly groups: number;
  readonly epsilon: number;
  /** Time features are [cos, sin] when true, [sin, cos] when false. */
  readonly flipSinToCos: boolean;
  readonly frequencyShift: number;
  /** proj_in and proj_out are [C,C] linear layers when true, [C,C,1,1] convolutions when false. */
  readonly useLinearProjection: boolean;
}

/** Autoencoder of Stable Diffusion (AutoencoderKL). */
export interface VaeConfig {
  readonly sampleSize: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  /** Channels of each resolution, finest first. */
  readonly blockChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly groups: number;
  /** Latents of the diffusion process are the encoder's times this. */
  readonly scalingFactor: number;
}

/** CLIP vision tower of the safety checker, and the concepts it is compared with. */
export interface SafetyCheckerConfig {
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlpWidth: number;
  readonly projectionWidth: number;
  readonly epsilon: number;
  readonly activation: 'quickGelu' | 'gelu';
  readonly concepts: number;
  readonly specialCareConcepts: number;
}

/** Everything that understands pictures and text: `multimodal_encoder/pytorch_model.bin`. */
export interface MultimodalConfig {
  readonly visual: EvaVitConfig;
  readonly causalTransformer: CausalTransformerConfig;
  readonly llama: LlamaConfig;
}

/** What turns visual embeddings into pictures. */
export interface VisualDecoderConfig {
  readonly unet: UNetConfig;
  readonly vae: VaeConfig;
  readonly safetyChecker?: SafetyCheckerConfig;
}

/** A whole Emu. An instruction-tuned checkpoint has no visual decoder. */
export interface EmuConfig extends MultimodalConfig {
  readonly visualDecoder?: VisualDecoderConfig;
}

/**
 * One entry of a per-resolution list.
 * @throws EmuError INVALID_CONFIG if the list is too short.
 */
export function atLevel<T>(list: readonly T[], level: number, name: string): T {
  const entry = list[level];
  if (entry === undefined) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[config] ${name} has ${list.length} entries, entry ${level} was needed`,
      { hint: 'Give one entry for each resolution.', details: { name, entries: list.length, level } },
    );
  }
  return entry;
}
