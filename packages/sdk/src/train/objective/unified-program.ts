import {
  add,
  crossEntropy,
  embedding,
  fill,
  gatherRows,
  multiply,
  replaceRows,
  reshape,
  rmsNorm,
  scale,
  stopGradient,
  sumTo,
  trace,
  type Program,
  type Tracer,
  type Value,
} from '@emu/program';

import type { MultimodalConfig } from '../../models/config.js';
import { embedImages, imageEncoder } from '../../models/encode-images.js';
import { languageHead, llama, llamaLayerForward, regressionHead } from '../../models/llama.js';
import { packedRows } from '../../models/row-attention.js';
import { dropoutOf, noDropout, type Dropout } from '../../nn/dropout.js';
import { project } from '../../nn/layers.js';
import { Parameters } from '../../nn/parameters.js';
import { precisionOf, stageProbe, type ModelProgramOptions } from '../../nn/program-options.js';
import { objectiveOf, type Objective, type ObjectiveOptions } from './objective-options.js';
import { reconstructionLossRows } from './reconstruction.js';
import { visualLossRows } from './visual-loss.js';

/** Sizes of one training program. */
export interface UnifiedShape {
  /** B, rows of packed sequences. */
  readonly rows: number;
  /** T, places per row. */
  readonly length: number;
  /** P, pictures in all; 0 for a program without the vision encoder. */
  readonly pictures: number;
  /** K, places whose next token counts; those that the batch does not need have target -100. */
  readonly textTargets: number;
}

/** What a training program does beyond the objective. */
export interface UnifiedOptions extends ObjectiveOptions, ModelProgramOptions {
  /** Dropout of the Causal Transformer, 0.1 in T5's configuration; 0 by default, which leaves out `dropoutKey`. */
  readonly dropout?: number;
  /** Dropout of what the adapters read; for models with adapters. 0 by default. */
  readonly adapterDropout?: number;
  /**
   * How many rows of the token table are parameters of their own, `tokenRowsName` f32[n,D], that stand in for rows of a
   * frozen table: those of tokens that a tuning adds. 0 by default.
   */
  readonly tokenRows?: number;
  /**
   * Whether pictures may be imagined: what the language model reads in their places is not their embeddings, which tell
   * what the text before them should have told, but zeros in a first pass and its own predictions of that pass in a
   * second one; both learn the embeddings. False by default.
   */
  readonly imagined?: boolean;
}

/** Name of the parameter that `tokenRows` makes. */
export const tokenRowsName = 'decoder.lm.trained_token_rows';

/**
 * Emu's objective (arXiv 2307.05222, section 2): next-token cross-entropy on text and l2 regression of the next visual
 * embedding, over packed sequences; pictures go through EVA-ViT and Causal Transformer in the same program, so that one
 * backward pass trains everything. `packedInputs` makes the inputs.
 *
 * Inputs: `ids`, `position` i32[B*T]; `firstKey` i32[B,T]; `textIndex`, `textTarget` i32[K] and `textWeight` f32[K]:
 * the places (row-major in [B,T]) whose hidden state predicts a token, that token or -100, and the factor of its loss.
 * With pictures `pixels` f32[P,3,S,S], `relativeBuckets` i32[N,N] and `visualTarget` i32[P*N], the place each embedding
 * takes (-1: none). With pictures and visualWeight above 0 also `visualIndex`, `visualLabel` i32[P*(N+1)] and
 * `visualWeight` f32[P*(N+1)]: places whose state predicts an embedding, places whose input is that embedding, the
 * factors. With pictures and reconstructionWeight above 0 `cellWeight` f32[P*N], the factor of each cell. With dropout
 * `dropoutKey` i32[2]; with `imagined` `imaginedPlace` i32[P*(N+1)]: the place where a prediction is read in place of an
 * embedding (-1: none); with `tokenRows` `tokenRowIndex` and `tokenRowTarget` i32[B*T]: which trained row goes to which
 * place (-1: none).
 * Outputs: `loss` f32[1], the weighted sum; `loss.text` and, where they are computed, `loss.visual` and
 * `loss.reconstruction`, all f32[1] and unweighted. With `stages` also `inputs_embeds`, `hidden_last`, `regress_pred`,
 * `regress_labels`.
 * Source: Emu1/models/modeling_emu.py and modeling_llama.py:205-249; the passes of `imagined` are scheduled sampling for
 * Transformers (Mihaylova and Martins 2019) that begins from nothing and not from the truth.
 */
export function unifiedProgram(
  config: MultimodalConfig,
  shape: UnifiedShape,
  options: UnifiedOptions = {},
): Program {
  const { rows, length, pictures } = shape;
  return trace(`unified.${rows}x${length}.${pictures}`, (t) => {
    build(t, config, shape, options, objectiveOf(options));
  });
}

function build(
  t: Tracer,
  config: MultimodalConfig,
  shape: UnifiedShape,
  options: UnifiedOptions,
  objective: Objective,
): void {
  const { rows, length } = shape;
  const probe = stageProbe(t, options);
  const p = Parameters.of(t, precisionOf(options));
  const drop = dropouts(t, options);
  const model = llama(p, config.llama);
  const pictures = encodePictures(t, config, shape, p, drop.causalTransformer);
  const inputs = embedPlaces(t, model.embeddings, pictures, config, shape, options, p);
  probe('inputs_embeds', inputs);
  const attentionRows = packedRows({
    position: t.input('position', [rows * length], 'i32'),
    firstKey: t.input('firstKey', [rows, length], 'i32'),
  });
  const normed = (states: Value): Value => rmsNorm(states, model.norm, { epsilon: config.llama.epsilon });
  const decode = (read: Value, pass: string): Value =>
    model.layers.reduce(
      (x, layer, index) =>
        t.block(`${pass}.layer${index}`, () =>
          llamaLayerForward(x, layer, attentionRows, config.llama, drop.adapter),
        ),
      read,
    );
  const visual =
    pictures === undefined || objective.visualWeight === 0
      ? undefined
      : visualTerm(t, p, inputs, normed, config, shape, objective);
  const imagined =
    visual !== undefined && options.imagined === true
      ? imagine(t, inputs, visual, (read) => decode(read, 'llama.imagining'))
      : undefined;
  const x = decode(imagined?.inputs ?? inputs, 'llama');
  if (options.stages === true) probe('hidden_last', normed(x));
  const text = textLoss(t, normed(gather(t, x, 'textIndex', shape.textTargets)), p, config);
  t.output('loss.text', text);
  let loss = text;
  if (pictures !== undefined && objective.reconstructionWeight > 0) {
    const rows = reconstructionLossRows(p, pictures.embeddings, pictures.pixels, config);
    const reconstruction = weightedSum(rows, t.input('cellWeight', [rows.side(0)]));
    t.output('loss.reconstruction', reconstruction);
    loss = add(loss, scale(reconstruction, { factor: objective.reconstructionWeight }));
  }
  if (visual !== undefined) {
    const predicted = visual.predict(x);
    probe('regress_pred', predicted);
    probe('regress_labels', visual.labels);
    const last = visual.loss(predicted);
    const both = imagined === undefined ? last : scale(add(imagined.loss, last), { factor: 0.5 });
    t.output('loss.visual', both);
    const { visualWeight } = objective;
    loss = add(loss, visualWeight === 1 ? both : scale(both, { factor: visualWeight }));
  }
  t.output('loss', loss);
}

/** Regression of the embeddings that follow the places of `visualIndex`; M of them. */
interface VisualTerm {
  /** f32[M,D]. */
  readonly labels: Value;
  /** States of the last layer f32[B*T,D] -> f32[M,D]. */
  predict(states: Value): Value;
  /** Predictions f32[M,D] -> f32[1]. */
  loss(predicted: Value): Value;
}

function visualTerm(
  t: Tracer,
  p: Parameters,
  inputs: Value,
  normed: (states: Value) => Value,
  config: MultimodalConfig,
  shape: UnifiedShape,
  { visualReduction }: Objective,
): VisualTerm {
  const predictions = shape.pictures * (config.causalTransformer.queries + 1);
  const index = t.input('visualIndex', [predictions], 'i32');
  const weight = t.input('visualWeight', [predictions]);
  const labels = gather(t, inputs, 'visualLabel', predictions);
  const head = regressionHead(p, config.llama);
  return {
    labels,
    predict: (states) => project(normed(gatherRows(states, index)), head),
    loss: (predicted) => weightedSum(visualLossRows(predicted, labels, visualReduction), weight),
  };
}

/** The first pass of `imagined`: its loss, and what the second pass reads. */
function imagine(
  t: Tracer,
  inputs: Value,
  visual: VisualTerm,
  decode: (read: Value) => Value,
): { readonly loss: Value; readonly inputs: Value } {
  const [predictions, width] = [visual.labels.side(0), visual.labels.side(1)];
  const place = t.input('imaginedPlace', [predictions], 'i32');
  const blank = replaceRows(inputs, fill(t, [predictions, width], 0), place);
  const predicted = visual.predict(decode(blank));
  return { loss: visual.loss(predicted), inputs: replaceRows(inputs, stopGradient(predicted), place) };
}

interface Dropouts {
  readonly causalTransformer: Dropout;
  readonly adapter: Dropout;
}

function dropouts(t: Tracer, { dropout = 0, adapterDropout = 0 }: UnifiedOptions): Dropouts {
  if (dropout === 0 && adapterDropout === 0) return { causalTransformer: noDropout, adapter: noDropout };
  const key = t.input('dropoutKey', [2], 'i32');
  return {
    causalTransformer: dropout === 0 ? noDropout : dropoutOf(key, dropout),
    // Streams of their own: both count from their first.
    adapter: adapterDropout === 0 ? noDropout : dropoutOf(key, adapterDropout, firstAdapterStream),
  };
}

const firstAdapterStream = 1 << 16;

interface EncodedPictures {
  /** f32[P,3,S,S]. */
  readonly pixels: Value;
  /** f32[P,N,D]. */
  readonly embeddings: Value;
}

function encodePictures(
  t: Tracer,
  config: MultimodalConfig,
  { pictures }: UnifiedShape,
  p: Parameters,
  dropout: Dropout,
): EncodedPictures | undefined {
  if (pictures === 0) return undefined;
  const { queries } = config.causalTransformer;
  const { imageSize } = config.visual;
  const pixels = t.input('pixels', [pictures, 3, imageSize, imageSize]);
  const buckets = t.input('relativeBuckets', [queries, queries], 'i32');
  return { pixels, embeddings: embedImages(imageEncoder(p, config), pixels, buckets, config, { dropout }) };
}

/** What the language model reads: token rows, trained rows in the places of theirs, pictures in their slots. */
function embedPlaces(
  t: Tracer,
  table: Value,
  pictures: EncodedPictures | undefined,
  config: MultimodalConfig,
  { rows, length }: UnifiedShape,
  { tokenRows = 0 }: UnifiedOptions,
  p: Parameters,
): Value {
  const places = rows * length;
  let x = embedding(table, t.input('ids', [places], 'i32')); // [B*T,D]
  if (tokenRows > 0) {
    const trained = p.vector(tokenRowsName, [tokenRows, config.llama.width]);
    const chosen = embedding(trained, t.input('tokenRowIndex', [places], 'i32'));
    x = replaceRows(x, chosen, t.input('tokenRowTarget', [places], 'i32'));
  }
  if (pictures === undefined) return x;
  const { embeddings } = pictures;
  const embedded = embeddings.side(0) * config.causalTransformer.queries;
  const target = t.input('visualTarget', [embedded], 'i32');
  return replaceRows(x, reshape(embeddings, [embedded, config.causalTransformer.outputWidth]), target);
}

function textLoss(t: Tracer, states: Value, p: Parameters, config: MultimodalConfig): Value {
  const logits = project(states, languageHead(p, config.llama));
  const losses = crossEntropy(logits, t.input('textTarget', [states.side(0)], 'i32'));
  return weightedSum(losses, t.input('textWeight', [states.side(0)]));
}

function gather(t: Tracer, x: Value, index: string, count: number): Value {
  return gatherRows(x, t.input(index, [count], 'i32'));
}

/** sum of weight · x: f32[R], f32[R] -> f32[1]. */
function weightedSum(x: Value, weight: Value): Value {
  return sumTo(multiply(x, weight), [1]);
}
