import {
  add,
  attention,
  concat,
  convolution,
  linear,
  permute,
  reshape,
  slice,
  trace,
  type Program,
  type Value,
} from '@emu/program';

import { mergeHeads, normalize, project, splitHeads } from '../nn/layers.js';
import {
  Parameters,
  repeated,
  type CheckpointTensor,
  type LinearParameters,
  type NormParameters,
} from '../nn/parameters.js';
import { precisionOf, type ModelProgramOptions } from '../nn/program-options.js';
import type { SafetyCheckerConfig } from './config.js';

/*
 * CLIP's vision transformer (Radford et al. 2021) under the safety checker of Stable Diffusion: transformers
 * CLIPVisionModel, diffusers v0.15.1 StableDiffusionSafetyChecker. What the embeddings mean is decided in
 * safety-verdict.ts.
 */

interface ClipLayer {
  readonly attentionNorm: NormParameters;
  readonly q: LinearParameters;
  readonly k: LinearParameters;
  readonly v: LinearParameters;
  readonly output: LinearParameters;
  readonly mlpNorm: NormParameters;
  readonly mlpIn: LinearParameters;
  readonly mlpOut: LinearParameters;
}

interface ClipVision {
  readonly classToken: Value;
  readonly patchEmbedding: Value;
  readonly positions: Value;
  readonly normIn: NormParameters;
  readonly layers: readonly ClipLayer[];
  readonly normOut: NormParameters;
  readonly projection: Value;
}

function clipVision(p: Parameters, config: SafetyCheckerConfig): ClipVision {
  const { width, patchSize, imageSize, layers, projectionWidth } = config;
  const model = p.in('vision_model.vision_model');
  const embeddings = model.in('embeddings');
  const places = 1 + Math.floor(imageSize / patchSize) ** 2;
  return {
    classToken: embeddings.vector('class_embedding', [width]),
    patchEmbedding: embeddings.matrix('patch_embedding.weight', [width, 3, patchSize, patchSize]),
    positions: embeddings.vector('position_embedding.weight', [places, width]),
    normIn: model.norm('pre_layrnorm', width), // the checkpoint's spelling
    layers: repeated(layers, (layer) => clipLayer(model.in('encoder.layers').in(layer), config)),
    normOut: model.norm('post_layernorm', width),
    projection: p.matrix('visual_projection.weight', [projectionWidth, width]),
  };
}

function clipLayer(p: Parameters, { width, mlpWidth }: SafetyCheckerConfig): ClipLayer {
  const attn = p.in('self_attn');
  return {
    attentionNorm: p.norm('layer_norm1', width),
    q: attn.linear('q_proj', width, width),
    k: attn.linear('k_proj', width, width),
    v: attn.linear('v_proj', width, width),
    output: attn.linear('out_proj', width, width),
    mlpNorm: p.norm('layer_norm2', width),
    mlpIn: p.in('mlp').linear('fc1', width, mlpWidth),
    mlpOut: p.in('mlp').linear('fc2', mlpWidth, width),
  };
}

/** What the safety checker's tensors are called in a session: this and the checkpoint's name. */
export const safetyCheckerPrefix = 'safety_checker.';

/** Tensors of a safety checker's checkpoint, by their names in the file, the concepts included. */
export function safetyCheckerTensors(config: SafetyCheckerConfig): readonly CheckpointTensor[] {
  const { concepts, specialCareConcepts, projectionWidth } = config;
  return [
    ...Parameters.askedBy((p) => clipVision(p, config)),
    { name: 'concept_embeds', shape: [concepts, projectionWidth] },
    { name: 'concept_embeds_weights', shape: [concepts] },
    { name: 'special_care_embeds', shape: [specialCareConcepts, projectionWidth] },
    { name: 'special_care_embeds_weights', shape: [specialCareConcepts] },
  ];
}

/**
 * Pictures to CLIP embeddings. Input: `pixels` f32[B,3,S,S], normalised as CLIP's feature extractor does.
 * Output: `imageEmbeddings` f32[B,E], not normalised.
 */
export function safetyCheckerProgram(
  config: SafetyCheckerConfig,
  batch: number,
  options: ModelProgramOptions = {},
): Program {
  return trace(`safety-checker.${batch}`, (t) => {
    const model = clipVision(Parameters.of(t, precisionOf(options), safetyCheckerPrefix), config);
    const pixels = t.input('pixels', [batch, 3, config.imageSize, config.imageSize]);
    t.output('imageEmbeddings', imageEmbeddings(model, pixels, config));
  });
}

function imageEmbeddings(model: ClipVision, pixels: Value, config: SafetyCheckerConfig): Value {
  const { width, epsilon } = config;
  let x = normalize(embedPlaces(model, pixels, config), model.normIn, epsilon);
  for (const layer of model.layers) x = clipLayerForward(x, layer, config);
  const classToken = reshape(slice(x, { axis: 1, start: 0, length: 1 }), [x.side(0), width]);
  return linear(normalize(classToken, model.normOut, epsilon), model.projection);
}

/** Class token and patches with their positions: [B,3,S,S] -> [B,1+P,D]. */
function embedPlaces(model: ClipVision, pixels: Value, { patchSize, width }: SafetyCheckerConfig): Value {
  const image = permute(pixels, [0, 2, 3, 1]);
  const grid = convolution(image, model.patchEmbedding, { stride: patchSize, padding: [0, 0, 0, 0] });
  const patches = reshape(grid, [grid.side(0), grid.side(1) * grid.side(2), width]);
  const classToken = reshape(model.classToken, [1, 1, width]);
  const classTokens = concat(new Array<Value>(pixels.side(0)).fill(classToken), 0);
  return add(concat([classTokens, patches], 1), model.positions);
}

function clipLayerForward(
  x: Value,
  p: ClipLayer,
  { heads, epsilon, activation }: SafetyCheckerConfig,
): Value {
  const h = normalize(x, p.attentionNorm, epsilon);
  const [q, k, v] = [p.q, p.k, p.v].map((part) => splitHeads(project(h, part), heads)) as [
    Value,
    Value,
    Value,
  ];
  const mixed = attention(q, k, v, { scale: q.side(-1) ** -0.5 });
  const attended = project(mergeHeads(mixed), p.output, { residual: x });
  const inner = project(normalize(attended, p.mlpNorm, epsilon), p.mlpIn, { activation });
  return project(inner, p.mlpOut, { residual: attended });
}
