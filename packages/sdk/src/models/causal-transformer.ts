import { add, attention, concat, embedding, permute, rmsNorm, type Value } from '@emu/program';

import { noDropout, type Dropout } from '../nn/dropout.js';
import { mergeHeads, project, splitHeads } from '../nn/layers.js';
import { repeated, type LinearParameters, type Parameters } from '../nn/parameters.js';
import type { StageProbe } from '../nn/program-options.js';
import type { CausalTransformerConfig } from './config.js';

/*
 * The Causal Transformer of Emu: a T5 decoder (Raffel et al. 2020) whose inputs are N learned queries and whose
 * encoder states are picture features. Emu1/models/causal_former.py and modeling_t5.py. Scores are not divided
 * by sqrt(K); the relative position bias of block 0 serves the self-attention of every block; cross-attention has
 * neither bias nor mask; no linear layer but the last has a bias.
 */

interface T5Attention {
  readonly norm: Value;
  readonly q: LinearParameters;
  readonly k: LinearParameters;
  readonly v: LinearParameters;
  readonly output: LinearParameters;
}

interface T5Block {
  readonly selfAttention: T5Attention;
  readonly crossAttention: T5Attention;
  readonly mlpNorm: Value;
  readonly mlpIn: LinearParameters;
  readonly mlpOut: LinearParameters;
}

/** Queries, T5 blocks and the projection into the language model's space. */
export interface CausalTransformer {
  readonly queries: Value;
  readonly relativeBias: Value;
  readonly blocks: readonly T5Block[];
  readonly finalNorm: Value;
  readonly output: LinearParameters;
}

/** Asks for the parameters; `p` stands at `cformer`. */
export function causalTransformer(p: Parameters, config: CausalTransformerConfig): CausalTransformer {
  const { queries, width, heads, layers, outputWidth, relativeAttentionBuckets } = config;
  const stack = p.in('cformer');
  const blocks = stack.in('block');
  return {
    queries: p.vector('causal_tokens', [1, queries, width]),
    relativeBias: blocks
      .in('0.layer.0.SelfAttention.relative_attention_bias')
      .vector('weight', [relativeAttentionBuckets, heads]),
    blocks: repeated(layers, (layer) => t5Block(blocks.in(layer).in('layer'), config)),
    finalNorm: stack.vector('final_layer_norm.weight', [width]),
    output: p.linear('projection', width, outputWidth),
  };
}

function t5Block(p: Parameters, config: CausalTransformerConfig): T5Block {
  const { width, feedForwardWidth, encoderWidth } = config;
  return {
    selfAttention: t5Attention(p.in(0), 'SelfAttention', width, config),
    crossAttention: t5Attention(p.in(1), 'EncDecAttention', encoderWidth, config),
    mlpNorm: p.in(2).vector('layer_norm.weight', [width]),
    mlpIn: p.in(2).linearWithoutBias('DenseReluDense.wi', width, feedForwardWidth),
    mlpOut: p.in(2).linearWithoutBias('DenseReluDense.wo', feedForwardWidth, width),
  };
}

function t5Attention(
  p: Parameters,
  kind: 'SelfAttention' | 'EncDecAttention',
  keyWidth: number,
  { width, heads, headWidth }: CausalTransformerConfig,
): T5Attention {
  const inner = heads * headWidth;
  const part = p.in(kind);
  return {
    norm: p.vector('layer_norm.weight', [width]),
    q: part.linearWithoutBias('q', width, inner),
    k: part.linearWithoutBias('k', keyWidth, inner),
    v: part.linearWithoutBias('v', keyWidth, inner),
    output: part.linearWithoutBias('o', inner, width),
  };
}

const f = Math.fround;

/**
 * T5's bucket of the distance from a query back to a key, 0..buckets-1: exact for the first half of the buckets,
 * logarithmic up to `maxDistance` for the rest. Keys after the query (distance < 0) are bucket 0. Computed in f32 as
 * there, so that a distance on the edge of two buckets falls to the same side.
 * Source: modeling_t5.py, T5Attention._relative_position_bucket with bidirectional=False.
 */
export function relativePositionBucket(distance: number, buckets: number, maxDistance: number): number {
  const exact = Math.floor(buckets / 2);
  if (distance < exact) return Math.max(distance, 0);
  const share = f(f(Math.log(f(distance / exact))) / f(Math.log(maxDistance / exact))); // 0 at exact, 1 at maxDistance
  return Math.min(exact + Math.floor(f(share * (buckets - exact))), buckets - 1);
}

/**
 * The `relativeBuckets` input of `encodeImagesProgram`: i32[N,N], query by key. It depends on the configuration
 * alone; programs hold no numbers, so it comes in with every run.
 */
export function relativeBuckets(config: CausalTransformerConfig): Int32Array {
  const { queries, relativeAttentionBuckets, relativeAttentionMaxDistance } = config;
  const buckets = new Int32Array(queries * queries);
  for (let query = 0; query < queries; query++) {
    for (let key = 0; key < queries; key++) {
      buckets[query * queries + key] = relativePositionBucket(
        query - key,
        relativeAttentionBuckets,
        relativeAttentionMaxDistance,
      );
    }
  }
  return buckets;
}

/**
 * N causal embeddings of each picture, in the language model's space.
 * features f32[B,S,encoderWidth], buckets i32[N,N] -> f32[B,N,outputWidth]. `dropout` acts where T5 drops in training:
 * on the queries, on what each layer adds, within the feed-forward and on the final states; not on attention weights,
 * which no kernel holds.
 * Source: Emu1/models/causal_former.py, CausalFormer.forward.
 */
export function visualEmbeddings(
  model: CausalTransformer,
  features: Value,
  buckets: Value,
  config: CausalTransformerConfig,
  probe: StageProbe,
  dropout: Dropout = noDropout,
): Value {
  const { heads, epsilon } = config;
  const bias = permute(embedding(model.relativeBias, buckets), [2, 0, 1]); // [N,N,H] -> [H,N,N]
  probe('cformer.position_bias', bias);
  let x = dropout(concat(new Array<Value>(features.side(0)).fill(model.queries), 0)); // [B,N,D]
  for (const [index, block] of model.blocks.entries()) {
    x = x.tracer.block(`cformer.block${index}`, () => {
      const own = rmsNorm(x, block.selfAttention.norm, { epsilon });
      const mixed = t5Attend(x, own, own, block.selfAttention, heads, bias, dropout);
      probe(`cformer.block${index}.self_attn`, mixed);
      const query = rmsNorm(mixed, block.crossAttention.norm, { epsilon });
      const crossed = t5Attend(mixed, query, features, block.crossAttention, heads, null, dropout);
      probe(`cformer.block${index}.cross_attn`, crossed);
      return t5FeedForward(crossed, block, epsilon, dropout);
    });
    probe(`cformer.block${index}`, x);
  }
  const final = rmsNorm(x, model.finalNorm, { epsilon });
  probe('cformer.final_layer_norm', final);
  return project(dropout(final), model.output);
}

/** x + attention; causal exactly when there is a position bias, that is in self-attention. */
function t5Attend(
  x: Value,
  query: Value,
  memory: Value,
  p: T5Attention,
  heads: number,
  bias: Value | null,
  dropout: Dropout,
): Value {
  const q = splitHeads(project(query, p.q), heads);
  const k = splitHeads(project(memory, p.k), heads);
  const v = splitHeads(project(memory, p.v), heads);
  const mixed = attention(q, k, v, { scale: 1, causal: bias !== null, bias });
  return addDropped(x, mergeHeads(mixed), p.output, dropout);
}

function t5FeedForward(x: Value, block: T5Block, epsilon: number, dropout: Dropout): Value {
  const inner = project(rmsNorm(x, block.mlpNorm, { epsilon }), block.mlpIn, { activation: 'relu' });
  return addDropped(x, dropout(inner), block.mlpOut, dropout);
}

/** x + dropout(W inner); one fused call where nothing is dropped. */
function addDropped(x: Value, inner: Value, p: LinearParameters, dropout: Dropout): Value {
  return dropout === noDropout ? project(inner, p, { residual: x }) : add(x, dropout(project(inner, p)));
}
