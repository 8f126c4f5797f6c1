import { trace, type Program, type Tracer, type Value } from '@emu/program';

import { noDropout, type Dropout } from '../nn/dropout.js';
import { normalize } from '../nn/layers.js';
import { Parameters, type CheckpointTensor, type NormParameters } from '../nn/parameters.js';
import { precisionOf, stageProbe, type ModelProgramOptions, type StageProbe } from '../nn/program-options.js';
import {
  causalTransformer,
  relativeBuckets,
  visualEmbeddings,
  type CausalTransformer,
} from './causal-transformer.js';
import type { MultimodalConfig } from './config.js';
import { classEmbedding, evaVit, evaVitHead, visionFeatures, type EvaVit } from './eva-vit.js';

type ImageEncoderConfig = Pick<MultimodalConfig, 'visual' | 'causalTransformer'>;

/** EVA-ViT, `ln_visual` and Causal Transformer. */
export interface ImageEncoder {
  readonly visual: EvaVit;
  readonly visualNorm: NormParameters;
  readonly causalTransformer: CausalTransformer;
}

/** Asks for the parameters; `p` stands at the root of the checkpoint. */
export function imageEncoder(p: Parameters, config: ImageEncoderConfig): ImageEncoder {
  return {
    visual: evaVit(p.in('visual'), config.visual),
    visualNorm: p.norm('ln_visual', config.visual.width),
    causalTransformer: causalTransformer(p.in('cformer'), config.causalTransformer),
  };
}

/** Tensors of a checkpoint that `encodeImagesProgram` reads. */
export function imageEncoderTensors(config: ImageEncoderConfig): readonly CheckpointTensor[] {
  return Parameters.askedBy((p) => imageEncoder(p, config));
}

/**
 * Pictures to visual embeddings: EVA-ViT, `ln_visual`, Causal Transformer.
 * Inputs: `pixels` f32[B,3,S,S], normalised with the CLIP mean and deviation; `relativeBuckets` i32[N,N], from
 * the function of that name. `encodeImagesInputs` makes both.
 * Output: `embeddings` f32[B,N,D], in the language model's embedding space. With `stages`, every stage the
 * reference data names from `vit.patch_embed` to `cformer.output`, and `vit.forward`, the unused picture embedding of
 * EVA-CLIP, which needs `visual.norm` and `visual.head` in the session.
 * Source: Emu1/models/modeling_emu.py, Emu.forward up to the language model.
 */
export function encodeImagesProgram(
  config: ImageEncoderConfig,
  batch: number,
  options: ModelProgramOptions = {},
): Program {
  return trace(`encode-images.${batch}`, (t) => {
    buildEncoder(t, config, batch, options);
  });
}

function buildEncoder(
  t: Tracer,
  config: ImageEncoderConfig,
  batch: number,
  options: ModelProgramOptions,
): void {
  const { visual, causalTransformer: causal } = config;
  const parameters = Parameters.of(t, precisionOf(options));
  const model = imageEncoder(parameters, config);
  const probe = stageProbe(t, options);
  const pixels = t.input('pixels', [batch, 3, visual.imageSize, visual.imageSize]);
  const buckets = t.input('relativeBuckets', [causal.queries, causal.queries], 'i32');
  const { embeddings, features } = encode(model, pixels, buckets, config, { probe });
  t.output('embeddings', embeddings);
  if (options.stages !== true) return;
  t.output('cformer.output', embeddings);
  t.output('vit.forward', classEmbedding(evaVitHead(parameters.in('visual'), visual), features, visual));
}

/** What an encoding does besides: tells of its stages, drops elements. */
export interface EncodeOptions {
  readonly probe?: StageProbe;
  /** Of the Causal Transformer, in training. */
  readonly dropout?: Dropout;
}

/**
 * N visual embeddings of each picture: pixels f32[B,3,S,S], normalised, buckets i32[N,N] from `relativeBuckets` ->
 * f32[B,N,D].
 * Source: Emu1/models/modeling_emu.py, Emu.forward up to the language model.
 */
export function embedImages(
  model: ImageEncoder,
  pixels: Value,
  buckets: Value,
  config: ImageEncoderConfig,
  options: EncodeOptions = {},
): Value {
  return encode(model, pixels, buckets, config, options).embeddings;
}

function encode(
  model: ImageEncoder,
  pixels: Value,
  buckets: Value,
  { visual, causalTransformer }: ImageEncoderConfig,
  { probe = () => undefined, dropout = noDropout }: EncodeOptions,
): { readonly embeddings: Value; readonly features: Value } {
  const features = visionFeatures(model.visual, pixels, visual, probe);
  const normalized = normalize(features, model.visualNorm, visual.epsilon);
  probe('ln_visual', normalized);
  const embeddings = visualEmbeddings(
    model.causalTransformer,
    normalized,
    buckets,
    causalTransformer,
    probe,
    dropout,
  );
  return { embeddings, features };
}

/**
 * Inputs of a run of `encodeImagesProgram`.
 * pixels: [B,3,S,S] row-major, normalised.
 */
export function encodeImagesInputs(
  config: ImageEncoderConfig,
  pixels: Float32Array,
): { readonly pixels: Float32Array; readonly relativeBuckets: Int32Array } {
  return { pixels, relativeBuckets: relativeBuckets(config.causalTransformer) };
}
