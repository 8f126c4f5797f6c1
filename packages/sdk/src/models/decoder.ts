import {
  crossEntropy,
  embedding,
  exponential,
  gatherRows,
  logSoftmax,
  multiply,
  replaceRows,
  rmsNorm,
  trace,
  type DType,
  type Program,
  type Shape,
  type Tracer,
  type Value,
} from '@emu/program';

import { project } from '../nn/layers.js';
import { Parameters, type CheckpointTensor } from '../nn/parameters.js';
import { precisionOf, stageProbe, type ModelProgramOptions } from '../nn/program-options.js';
import type { LlamaConfig } from './config.js';
import { languageHead, llama, llamaLayerForward, regressionHead } from './llama.js';
import { cachedRows, type LayerCache } from './row-attention.js';

/** The paged key/value cache that decoder programs of one session share. */
export interface CacheConfig {
  /** L, sequences at a time. */
  readonly slots: number;
  /** P, pages in all; each holds `pageSize` positions of one sequence, for every layer. */
  readonly pages: number;
  /** Z, positions per page. */
  readonly pageSize: number;
  /** M, the most pages of one sequence; `pagesPerSlot * pageSize` is the longest sequence. */
  readonly pagesPerSlot: number;
  readonly cacheDtype: 'f32' | 'bf16';
}

/** What a decoder run returns for the rows that `logitIndex` names. */
export type DecoderOutput =
  /** f32[K,D]: after the final RMSNorm. */
  | 'hidden'
  /** f32[K,V]. */
  | 'logits'
  /** f32[K,V]: softmax(logits · inverseTemperature), with the input `inverseTemperature` f32[K,1]. */
  | 'probabilities'
  /** f32[K,D]: `stu_regress_head(hidden)`, the next visual embedding. */
  | 'regressed'
  /** f32[K]: cross-entropy against the input `target` i32[K]; 0 where the target is -100. */
  | 'losses';

/** Sizes and results of one decoder program. */
export interface DecoderOptions extends CacheConfig, ModelProgramOptions {
  /** R, rows of the flat batch. */
  readonly rows: number;
  /** How many rows take an embedding instead of their token's; 0 or absent leaves those inputs out. */
  readonly visualRows?: number;
  /** K, rows that results are wanted of; required with `outputs`. */
  readonly logitRows?: number;
  /** Empty or absent: the run only fills the cache. */
  readonly outputs?: readonly DecoderOutput[];
}

/** Tensors of a checkpoint that decoder programs read, both heads included. */
export function llamaTensors(config: LlamaConfig): readonly CheckpointTensor[] {
  return Parameters.askedBy((p) => [llama(p, config), languageHead(p, config), regressionHead(p, config)]);
}

/** A state that a session must hold before a decoder program is compiled in it. */
export interface CacheState {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** `cache.<layer>.key` [P,H,K,Z] and `cache.<layer>.value` [P,H,Z,K] of every layer. */
export function cacheStates(config: LlamaConfig, cache: CacheConfig): readonly CacheState[] {
  const { heads, width } = config;
  const { pages, pageSize, cacheDtype: dtype } = cache;
  const headWidth = width / heads;
  return Array.from({ length: config.layers }, (_, layer) => [
    { name: stateName(layer, 'key'), shape: [pages, heads, headWidth, pageSize], dtype },
    { name: stateName(layer, 'value'), shape: [pages, heads, pageSize, headWidth], dtype },
  ]).flat();
}

function stateName(layer: number, part: 'key' | 'value'): string {
  return `cache.${layer}.${part}`;
}

/**
 * The language model over a flat batch of rows; the one program behind prompts, steps, batches, roll-outs of visual
 * embeddings and scoring.
 *
 * Inputs: `ids` i32[R]; with visualRows `visual` f32[N,D] and `visualTarget` i32[N], the row each embedding
 * replaces (-1: none); `slot`, `position` i32[R]; `pageTable` i32[L,M]; with outputs `logitIndex` i32[K]; with
 * `losses` also `target` i32[K], with `probabilities` `inverseTemperature` f32[K,1]. A row with slot -1 is computed but stored nowhere.
 * States: those of `cacheStates`.
 * Outputs: those asked for. With `stages` also `inputs_embeds` and `hidden<i>`, the state entering layer i, f32[R,D].
 * Source: Emu1/models/modeling_llama.py; transformers v4.29.2 LlamaForCausalLM, positions counted from 0 without padding.
 */
export function decoderProgram(config: LlamaConfig, options: DecoderOptions): Program {
  return trace(`decoder.${options.rows}`, (t) => {
    const p = Parameters.of(t, precisionOf(options));
    const model = llama(p, config);
    const probe = stageProbe(t, options);
    const ids = t.input('ids', [options.rows], 'i32');
    let x = replaceVisual(t, embedding(model.embeddings, ids), options.visualRows ?? 0);
    const rows = {
      slot: t.input('slot', [options.rows], 'i32'),
      position: t.input('position', [options.rows], 'i32'),
      pageTable: t.input('pageTable', [options.slots, options.pagesPerSlot], 'i32'),
    };
    probe('inputs_embeds', x);
    const states = new Map(
      cacheStates(config, options).map(({ name, shape, dtype }) => [name, t.state(name, shape, dtype)]),
    );
    for (const [index, layer] of model.layers.entries()) {
      probe(`hidden${index}`, x);
      x = llamaLayerForward(x, layer, cachedRows(layerCache(states, index), rows), config);
    }
    addResults(t, x, model.norm, p, config, options);
  });
}

function replaceVisual(t: Tracer, x: Value, visualRows: number): Value {
  if (visualRows === 0) return x;
  const visual = t.input('visual', [visualRows, x.side(1)]);
  return replaceRows(x, visual, t.input('visualTarget', [visualRows], 'i32'));
}

function layerCache(states: ReadonlyMap<string, Value>, layer: number): LayerCache {
  return {
    key: states.get(stateName(layer, 'key')) as Value,
    value: states.get(stateName(layer, 'value')) as Value,
  };
}

/** Only the rows that results are wanted of go through the norm and the heads. */
function addResults(
  t: Tracer,
  x: Value,
  norm: Value,
  p: Parameters,
  config: LlamaConfig,
  { outputs = [], logitRows = 0 }: DecoderOptions,
): void {
  if (outputs.length === 0) return;
  const chosen = gatherRows(x, t.input('logitIndex', [logitRows], 'i32'));
  const hidden = rmsNorm(chosen, norm, { epsilon: config.epsilon });
  if (outputs.includes('hidden')) t.output('hidden', hidden);
  if (outputs.includes('regressed')) t.output('regressed', project(hidden, regressionHead(p, config)));
  if (!(['logits', 'probabilities', 'losses'] as const).some((output) => outputs.includes(output))) return;
  const logits = project(hidden, languageHead(p, config));
  if (outputs.includes('logits')) t.output('logits', logits);
  if (outputs.includes('probabilities')) {
    const scaled = multiply(logits, t.input('inverseTemperature', [logitRows, 1]));
    t.output('probabilities', exponential(logSoftmax(scaled)));
  }
  if (outputs.includes('losses')) {
    t.output('losses', crossEntropy(logits, t.input('target', [logitRows], 'i32')));
  }
}
