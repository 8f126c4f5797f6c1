import { add, attention, embedding, gatherRows, reshape, type Value } from '@emu/program';

import { mergeHeads, normalize, project, splitHeads, splitLast } from '../nn/layers.js';
import { repeated, type LinearParameters, type NormParameters, type Parameters } from '../nn/parameters.js';

/*
 * The text half of contrastive pretraining (Radford et al. 2021): a causal pre-norm transformer whose last token stands
 * for the text. It teaches the vision encoder and is then left behind.
 */

/** Sizes of the tower. */
export interface TextTowerConfig {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Tokens of a text at most. */
  readonly contextLength: number;
  /** E, width of the embedding that is compared with the picture's. */
  readonly outputWidth: number;
}

interface TextBlock {
  readonly attentionNorm: NormParameters;
  readonly qkv: LinearParameters;
  readonly output: LinearParameters;
  readonly mlpNorm: NormParameters;
  readonly mlpIn: LinearParameters;
  readonly mlpOut: LinearParameters;
}

/** Token table, positions, blocks, final norm and head. */
export interface TextTower {
  readonly tokens: Value;
  readonly positions: Value;
  readonly blocks: readonly TextBlock[];
  readonly norm: NormParameters;
  readonly head: LinearParameters;
}

const epsilon = 1e-6;

/** Asks for the tower's parameters; `p` stands at `text`. */
export function textTower(p: Parameters, config: TextTowerConfig): TextTower {
  const { vocabulary, width, layers, contextLength, outputWidth } = config;
  return {
    tokens: p.in('token_embedding').matrix('weight', [vocabulary, width]),
    positions: p.vector('positions', [contextLength, width]),
    blocks: repeated(layers, (layer) => textBlock(p.in('blocks').in(layer), width)),
    norm: p.norm('norm', width),
    head: p.linearWithoutBias('head', width, outputWidth),
  };
}

function textBlock(p: Parameters, width: number): TextBlock {
  return {
    attentionNorm: p.norm('norm1', width),
    qkv: p.in('attn').linear('qkv', width, 3 * width),
    output: p.in('attn').linear('proj', width, width),
    mlpNorm: p.norm('norm2', width),
    mlpIn: p.in('mlp').linear('fc1', width, 4 * width),
    mlpOut: p.in('mlp').linear('fc2', 4 * width, width),
  };
}

/**
 * Embeddings of texts, not normalised. ids i32[B*T] row-major, T the context length, and `last` i32[B], the place of
 * each text's last token in them -> f32[B,E]. What follows the last token is not seen by it.
 */
export function textEmbeddings(tower: TextTower, ids: Value, last: Value, config: TextTowerConfig): Value {
  const { width, contextLength, heads } = config;
  const batch = last.side(0);
  const rows = reshape(embedding(tower.tokens, ids), [batch, contextLength, width]);
  let x = add(rows, tower.positions);
  for (const [index, block] of tower.blocks.entries()) {
    x = x.tracer.block(`text.block${index}`, () => runBlock(x, block, heads));
  }
  const ends = gatherRows(reshape(x, [batch * contextLength, width]), last);
  return project(normalize(ends, tower.norm, epsilon), tower.head);
}

function runBlock(x: Value, p: TextBlock, heads: number): Value {
  const joint = project(normalize(x, p.attentionNorm, epsilon), p.qkv);
  const [q, k, v] = splitLast(joint, 3).map((part) => splitHeads(part, heads)) as [Value, Value, Value];
  const mixed = mergeHeads(attention(q, k, v, { scale: q.side(-1) ** -0.5, causal: true }));
  const attended = project(mixed, p.output, { residual: x });
  const inner = project(normalize(attended, p.mlpNorm, epsilon), p.mlpIn, { activation: 'gelu' });
  return project(inner, p.mlpOut, { residual: attended });
}
