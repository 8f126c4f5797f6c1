import {
  add,
  attention,
  concat,
  convolution,
  permute,
  reshape,
  scale,
  slice,
  type Value,
} from '@emu/program';

import { mergeHeads, normalize, project, splitHeads, splitLast } from '../nn/layers.js';
import {
  repeated,
  type ConvolutionParameters,
  type LinearParameters,
  type NormParameters,
  type Parameters,
} from '../nn/parameters.js';
import type { StageProbe } from '../nn/program-options.js';
import type { EvaVitConfig } from './config.js';

/*
 * EVA-CLIP's vision transformer (Fang et al. 2022; Sun et al. 2023) as Emu uses it: Emu1/models/eva_vit_model.py.
 * Pre-norm blocks, absolute positions with a row for the class token, biases on q and v but not on k, no rotary
 * or relative positions, no layer scale.
 */

interface VitAttention {
  readonly qkv: Value;
  readonly qBias: Value;
  readonly vBias: Value;
  readonly output: LinearParameters;
}

interface VitBlock {
  readonly attentionNorm: NormParameters;
  readonly attention: VitAttention;
  readonly mlpNorm: NormParameters;
  readonly mlpIn: LinearParameters;
  readonly mlpOut: LinearParameters;
}

/** The tower up to its last block. */
export interface EvaVit {
  readonly classToken: Value;
  readonly positions: Value;
  readonly patchEmbedding: ConvolutionParameters;
  readonly blocks: readonly VitBlock[];
}

/** The final norm and head of EVA-CLIP: in every checkpoint, used by nothing in Emu. */
export interface EvaVitHead {
  readonly norm: NormParameters;
  readonly head: LinearParameters;
}

/** Patches of one picture, without the class token. */
export function patchCount(config: Pick<EvaVitConfig, 'imageSize' | 'patchSize'>): number {
  return Math.floor(config.imageSize / config.patchSize) ** 2;
}

/** Asks for the tower's parameters; `p` stands at `visual`. */
export function evaVit(p: Parameters, config: EvaVitConfig): EvaVit {
  const { width, patchSize, layers } = config;
  return {
    classToken: p.vector('cls_token', [1, 1, width]),
    positions: p.vector('pos_embed', [1, 1 + patchCount(config), width]),
    patchEmbedding: p.in('patch_embed').convolution('proj', 3, width, patchSize),
    blocks: repeated(layers, (layer) => vitBlock(p.in('blocks').in(layer), config)),
  };
}

function vitBlock(p: Parameters, { width, mlpWidth }: EvaVitConfig): VitBlock {
  const attn = p.in('attn');
  return {
    attentionNorm: p.norm('norm1', width),
    attention: {
      qBias: attn.vector('q_bias', [width]),
      vBias: attn.vector('v_bias', [width]),
      qkv: attn.in('qkv').matrix('weight', [3 * width, width]),
      output: attn.linear('proj', width, width),
    },
    mlpNorm: p.norm('norm2', width),
    mlpIn: p.in('mlp').linear('fc1', width, mlpWidth),
    mlpOut: p.in('mlp').linear('fc2', mlpWidth, width),
  };
}

/** Asks for the unused norm and head; `p` stands at `visual`. */
export function evaVitHead(p: Parameters, config: EvaVitConfig): EvaVitHead {
  return {
    norm: p.norm('norm', config.width),
    head: p.linear('head', config.width, config.headOutputWidth),
  };
}

/**
 * Features of every patch and the class token after the last block, before EVA-CLIP's own final norm.
 * pixels f32[B,3,S,S], normalised -> f32[B,1+P,D].
 * Source: Emu1/models/eva_vit_model.py, EVAVisionTransformer.forward_features.
 */
export function visionFeatures(vit: EvaVit, pixels: Value, config: EvaVitConfig, probe: StageProbe): Value {
  const patches = embedPatches(vit.patchEmbedding, pixels, config);
  probe('vit.patch_embed', patches);
  const classTokens = concat(new Array<Value>(pixels.side(0)).fill(vit.classToken), 0); // [B,1,D]
  let x = add(concat([classTokens, patches], 1), vit.positions);
  for (const [index, block] of vit.blocks.entries()) {
    x = x.tracer.block(`vit.block${index}`, () =>
      feedForward(selfAttention(x, block, config), block, config),
    );
    probe(`vit.block${index}`, x);
  }
  probe('vit.forward_features', x);
  return x;
}

function embedPatches(p: ConvolutionParameters, pixels: Value, { patchSize, width }: EvaVitConfig): Value {
  const image = permute(pixels, [0, 2, 3, 1]); // [B,3,S,S] -> [B,S,S,3]
  const grid = convolution(image, p.weight, { bias: p.bias, stride: patchSize, padding: [0, 0, 0, 0] });
  return reshape(grid, [grid.side(0), grid.side(1) * grid.side(2), width]); // [B,P,D]
}

function selfAttention(x: Value, block: VitBlock, { headWidth, width, epsilon }: EvaVitConfig): Value {
  const { attention: p } = block;
  const heads = width / headWidth;
  // k has no bias: one product for all three, with zeros in the middle of the bias.
  const noBias = scale(p.qBias, { factor: 0, offset: 0 });
  const bias = concat([p.qBias, noBias, p.vBias], 0);
  const qkv = project(normalize(x, block.attentionNorm, epsilon), { weight: p.qkv, bias });
  const [q, k, v] = splitLast(qkv, 3).map((part) => splitHeads(part, heads)) as [Value, Value, Value];
  const mixed = attention(q, k, v, { scale: headWidth ** -0.5 });
  return project(mergeHeads(mixed), p.output, { residual: x });
}

function feedForward(x: Value, block: VitBlock, { epsilon }: EvaVitConfig): Value {
  const inner = project(normalize(x, block.mlpNorm, epsilon), block.mlpIn, { activation: 'gelu' });
  return project(inner, block.mlpOut, { residual: x });
}

/** EVA-CLIP's picture embedding, which Emu never uses: features f32[B,1+P,D] -> f32[B,E]. */
export function classEmbedding(p: EvaVitHead, features: Value, { width, epsilon }: EvaVitConfig): Value {
  const token = slice(features, { axis: 1, start: 0, length: 1 }); // [B,1,D]
  const row = reshape(token, [token.side(0), width]);
  return project(normalize(row, p.norm, epsilon), p.head);
}
