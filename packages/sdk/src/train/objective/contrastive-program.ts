import {
  add,
  crossEntropy,
  exponential,
  fill,
  matmul,
  multiply,
  rmsNorm,
  scale,
  sumTo,
  trace,
  type Program,
  type Value,
} from '@emu/program';

import type { EvaVitConfig } from '../../models/config.js';
import { classEmbedding, evaVit, evaVitHead, visionFeatures } from '../../models/eva-vit.js';
import { textEmbeddings, textTower, type TextTowerConfig } from '../../models/text-tower.js';
import { Parameters } from '../../nn/parameters.js';
import { precisionOf, type ModelProgramOptions } from '../../nn/program-options.js';

/** Name of the parameter f32[1] whose exponential scales the similarities. */
export const logitScaleName = 'logit_scale';
/** Its first value: a temperature of 0.07. */
export const firstLogitScale = Math.log(1 / 0.07);

/**
 * Contrastive pretraining of the vision encoder (CLIP, Radford et al. 2021): each picture of a batch is to be nearest to
 * its own text and the other way round. What EVA-CLIP is to the paper's model, for one that starts from nothing.
 * Inputs: `pixels` f32[B,3,S,S]; `textIds` i32[B*T]; `textLast` i32[B], the place of each text's last token in them;
 * `pairIndex` i32[B], 0..B-1. Outputs: `loss` f32[1], the mean of `loss.picture_to_text` and `loss.text_to_picture`.
 */
export function contrastiveProgram(
  visual: EvaVitConfig,
  text: TextTowerConfig,
  batch: number,
  options: ModelProgramOptions = {},
): Program {
  return trace(`contrastive.${batch}`, (t) => {
    const p = Parameters.of(t, precisionOf(options));
    const { imageSize } = visual;
    const pixels = t.input('pixels', [batch, 3, imageSize, imageSize]);
    const features = visionFeatures(evaVit(p.in('visual'), visual), pixels, visual, () => undefined);
    const pictures = unitRows(classEmbedding(evaVitHead(p.in('visual'), visual), features, visual));
    const ids = t.input('textIds', [batch * text.contextLength], 'i32');
    const last = t.input('textLast', [batch], 'i32');
    const texts = unitRows(textEmbeddings(textTower(p.in('text'), text), ids, last, text));
    const sharpness = exponential(p.vector(logitScaleName, [1]));
    const pairs = t.input('pairIndex', [batch], 'i32');
    const direction = (name: string, from: Value, to: Value): Value => {
      const similarities = multiply(matmul(from, to, { transposeB: true }), sharpness); // [B,B]
      const loss = scale(sumTo(crossEntropy(similarities, pairs), [1]), { factor: 1 / batch });
      t.output(name, loss);
      return loss;
    };
    const forth = direction('loss.picture_to_text', pictures, texts);
    const back = direction('loss.text_to_picture', texts, pictures);
    t.output('loss', scale(add(forth, back), { factor: 0.5 }));
  });
}

/** Every row at length 1: x f32[B,E] -> f32[B,E]. A root-mean-square norm whose weight is 1 / sqrt(E). */
function unitRows(x: Value): Value {
  const width = x.side(1);
  return rmsNorm(x, fill(x.tracer, [width], width ** -0.5), { epsilon: 1e-12 });
}
