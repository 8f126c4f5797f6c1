import {
  add,
  crossEntropy,
  exponential,
  fill,
  matmul,
  multiply,
  permute,
  reshape,
  rmsNorm,
  scale,
  sumTo,
  trace,
  type Program,
  type Value,
} from '@emu/program';

import { causalTransformer, visualEmbeddings } from '../../models/causal-transformer.js';
import type { MultimodalConfig } from '../../models/config.js';
import { classEmbedding, evaVit, evaVitHead, visionFeatures } from '../../models/eva-vit.js';
import { textEmbeddings, textTower, type TextTowerConfig } from '../../models/text-tower.js';
import { normalize, project } from '../../nn/layers.js';
import { Parameters } from '../../nn/parameters.js';
import { precisionOf, type ModelProgramOptions } from '../../nn/program-options.js';
import { reconstructionLossRows } from './reconstruction.js';

/** Name of the parameter f32[1] whose exponential scales the similarities. */
export const logitScaleName = 'logit_scale';
/** Its first value: a temperature of 0.07. */
export const firstLogitScale = Math.log(1 / 0.07);

/** What a program of the contrastive stage does beyond the pictures' class tokens. */
export interface ContrastiveOptions extends ModelProgramOptions {
  /**
   * Also compares the mean of the Causal Transformer's embeddings, through a head that is left behind. Default false. A
   * language model that begins with even attention reads that mean, so it sees what pictures show from its first steps.
   */
  readonly causalTransformer?: boolean;
  /** Factor of reading pixels off those embeddings, beside the comparisons; needs `causalTransformer`. Default 0. */
  readonly reconstructionWeight?: number;
}

/**
 * Contrastive pretraining of the vision encoder (CLIP, Radford et al. 2021): each picture of a batch is to be nearest to
 * its own text and the other way round. What EVA-CLIP is to the paper's model, for one that starts from nothing.
 * Inputs: `pixels` f32[B,3,S,S]; `textIds` i32[B*T]; `textLast` i32[B], the place of each text's last token in them;
 * `pairIndex` i32[B], 0..B-1; with `causalTransformer` also `relativeBuckets` i32[N,N]. Outputs: `loss` f32[1], the mean
 * of `loss.picture_to_text` and `loss.text_to_picture` and, with `causalTransformer`, of `loss.embeddings`; with
 * `reconstructionWeight` that many times `loss.reconstruction` is added.
 */
export function contrastiveProgram(
  config: Pick<MultimodalConfig, 'visual' | 'causalTransformer'>,
  text: TextTowerConfig,
  batch: number,
  options: ContrastiveOptions = {},
): Program {
  return trace(`contrastive.${batch}`, (t) => {
    const { visual, causalTransformer: causal } = config;
    const p = Parameters.of(t, precisionOf(options));
    const pixels = t.input('pixels', [batch, 3, visual.imageSize, visual.imageSize]);
    const features = visionFeatures(evaVit(p.in('visual'), visual), pixels, visual, () => undefined);
    const ids = t.input('textIds', [batch * text.contextLength], 'i32');
    const last = t.input('textLast', [batch], 'i32');
    const texts = unitRows(textEmbeddings(textTower(p.in('text'), text), ids, last, text));
    const sharpness = exponential(p.vector(logitScaleName, [1]));
    const pairs = t.input('pairIndex', [batch], 'i32');
    const compare = (from: Value, to: Value): Value => {
      const similarities = multiply(matmul(from, to, { transposeB: true }), sharpness); // [B,B]
      return scale(sumTo(crossEntropy(similarities, pairs), [1]), { factor: 1 / batch });
    };
    const pictures = unitRows(classEmbedding(evaVitHead(p.in('visual'), visual), features, visual));
    const [forth, back] = [compare(pictures, texts), compare(texts, pictures)];
    t.output('loss.picture_to_text', forth);
    t.output('loss.text_to_picture', back);
    const both = scale(add(forth, back), { factor: 0.5 });
    if (options.causalTransformer !== true) {
      t.output('loss', both);
      return;
    }
    const normalized = normalize(features, p.norm('ln_visual', visual.width), visual.epsilon);
    const buckets = t.input('relativeBuckets', [causal.queries, causal.queries], 'i32');
    const model = causalTransformer(p.in('cformer'), causal);
    const embeddings = visualEmbeddings(model, normalized, buckets, causal, () => undefined);
    const sums = reshape(sumTo(permute(embeddings, [1, 0, 2]), [1, batch, causal.outputWidth]), [
      batch,
      causal.outputWidth,
    ]);
    const head = p.in('text').linearWithoutBias('embedding_head', causal.outputWidth, text.outputWidth);
    const means = unitRows(project(scale(sums, { factor: 1 / causal.queries }), head));
    const embedded = scale(add(compare(means, texts), compare(texts, means)), { factor: 0.5 });
    t.output('loss.embeddings', embedded);
    const compared = scale(add(both, embedded), { factor: 0.5 });
    const { reconstructionWeight = 0 } = options;
    if (reconstructionWeight === 0) {
      t.output('loss', compared);
      return;
    }
    const cells = reconstructionLossRows(p, embeddings, pixels, config);
    const rebuilt = scale(sumTo(cells, [1]), { factor: 1 / cells.side(0) });
    t.output('loss.reconstruction', rebuilt);
    t.output('loss', add(compared, scale(rebuilt, { factor: reconstructionWeight })));
  });
}

/** Every row at length 1: x f32[B,E] -> f32[B,E]. A root-mean-square norm whose weight is 1 / sqrt(E). */
function unitRows(x: Value): Value {
  const width = x.side(1);
  return rmsNorm(x, fill(x.tracer, [width], width ** -0.5), { epsilon: 1e-12 });
}
