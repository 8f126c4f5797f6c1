import { gatedActivation, linear, rmsNorm, rotaryEmbedding, scale, type Value } from '@emu/program';

import { noDropout, type Dropout } from '../nn/dropout.js';
import { mergeHeads, project, splitHeads } from '../nn/layers.js';
import { repeated, type LinearParameters, type Parameters } from '../nn/parameters.js';
import type { LlamaConfig, LoraTarget } from './config.js';
import type { RowAttention } from './row-attention.js';

/*
 * LLaMA (Touvron et al. 2023) over a flat batch of rows. A row is one position of one sequence; how rows see one
 * another is the caller's: through a paged key/value cache when the model runs, within packed sequences when it is
 * trained (row-attention.ts). Emu1/models/modeling_llama.py and transformers' LlamaModel.
 */

/** A projection with an optional low-rank adapter (peft's names: lora_A, lora_B). */
interface AdaptedLinear {
  readonly base: LinearParameters;
  readonly adapter: { readonly down: Value; readonly up: Value; readonly factor: number } | null;
}

interface LlamaLayer {
  readonly attentionNorm: Value;
  readonly q: AdaptedLinear;
  readonly k: AdaptedLinear;
  readonly v: AdaptedLinear;
  readonly output: AdaptedLinear;
  readonly mlpNorm: Value;
  readonly gate: LinearParameters;
  readonly up: LinearParameters;
  readonly down: LinearParameters;
}

/** Token table, layers and final norm; the heads are asked for where they are used. */
export interface Llama {
  readonly embeddings: Value;
  readonly layers: readonly LlamaLayer[];
  readonly norm: Value;
}

/** The module that official checkpoints keep the language model under; peft wraps it twice more. */
function llamaRoot(p: Parameters, config: LlamaConfig): Parameters {
  const lm = p.in('decoder.lm');
  return config.lora === undefined ? lm : lm.in('base_model.model');
}

/** Asks for the parameters; `p` stands at the root of the checkpoint. */
export function llama(p: Parameters, config: LlamaConfig): Llama {
  const model = llamaRoot(p, config).in('model');
  return {
    embeddings: model.matrix('embed_tokens.weight', [config.vocabulary, config.width]),
    layers: repeated(config.layers, (layer) => llamaLayer(model.in('layers').in(layer), config)),
    norm: model.vector('norm.weight', [config.width]),
  };
}

function llamaLayer(p: Parameters, config: LlamaConfig): LlamaLayer {
  const { width, feedForwardWidth } = config;
  const attn = p.in('self_attn');
  const mlp = p.in('mlp');
  return {
    attentionNorm: p.vector('input_layernorm.weight', [width]),
    q: adaptedLinear(attn, 'q_proj', config),
    k: adaptedLinear(attn, 'k_proj', config),
    v: adaptedLinear(attn, 'v_proj', config),
    output: adaptedLinear(attn, 'o_proj', config),
    mlpNorm: p.vector('post_attention_layernorm.weight', [width]),
    gate: mlp.linearWithoutBias('gate_proj', width, feedForwardWidth),
    up: mlp.linearWithoutBias('up_proj', width, feedForwardWidth),
    down: mlp.linearWithoutBias('down_proj', feedForwardWidth, width),
  };
}

function adaptedLinear(p: Parameters, target: LoraTarget, { width, lora }: LlamaConfig): AdaptedLinear {
  const base = p.linearWithoutBias(target, width, width);
  if (!lora?.targets.includes(target)) return { base, adapter: null };
  const part = p.in(target);
  return {
    base,
    adapter: {
      down: part.matrix('lora_A.default.weight', [lora.rank, width]),
      up: part.matrix('lora_B.default.weight', [width, lora.rank]),
      factor: lora.alpha / lora.rank,
    },
  };
}

/** The language head, [V,D] without bias. */
export function languageHead(p: Parameters, config: LlamaConfig): LinearParameters {
  return llamaRoot(p, config).linearWithoutBias('lm_head', config.width, config.vocabulary);
}

/** The head that predicts the next visual embedding from a final hidden state, [D,D] without bias. */
export function regressionHead(p: Parameters, config: LlamaConfig): LinearParameters {
  return llamaRoot(p, config).linearWithoutBias('stu_regress_head', config.width, config.width);
}

/**
 * One decoder layer: x f32[R,D] -> f32[R,D]. `adapterDropout` acts on what the adapters read, as peft's lora_dropout
 * does in training.
 */
export function llamaLayerForward(
  x: Value,
  p: LlamaLayer,
  rows: RowAttention,
  config: LlamaConfig,
  adapterDropout: Dropout = noDropout,
): Value {
  const { epsilon } = config;
  const mixed = selfAttention(rmsNorm(x, p.attentionNorm, { epsilon }), p, rows, config, adapterDropout);
  const attended = projectAdapted(mixed, p.output, adapterDropout, x);
  const h = rmsNorm(attended, p.mlpNorm, { epsilon });
  const inner = gatedActivation(project(h, p.gate), project(h, p.up), 'silu'); // SwiGLU, [R,F]
  return project(inner, p.down, { residual: attended });
}

function selfAttention(
  h: Value,
  p: LlamaLayer,
  rows: RowAttention,
  { heads, width, ropeTheta }: LlamaConfig,
  adapterDropout: Dropout,
): Value {
  const rotate = (value: Value): Value => rotaryEmbedding(value, rows.position, { theta: ropeTheta });
  const heard = (target: AdaptedLinear): Value =>
    splitHeads(projectAdapted(h, target, adapterDropout), heads);
  const q = rotate(heard(p.q)); // [R,D] -> [R,H,K]
  const k = rotate(heard(p.k));
  return mergeHeads(rows.attend(q, k, heard(p.v), (width / heads) ** -0.5));
}

/** Wx + (alpha / rank) B(Ax), unmerged as peft runs it, plus a residual. */
function projectAdapted(x: Value, p: AdaptedLinear, dropout: Dropout, residual: Value | null = null): Value {
  const base = project(x, p.base, { residual });
  if (p.adapter === null) return base;
  const { down, up, factor } = p.adapter;
  const reduced = linear(dropout(x), down); // [R,D] -> [R,r]
  const scaled = factor === 1 ? reduced : scale(reduced, { factor, offset: 0 });
  return linear(scaled, up, { residual: base });
}
