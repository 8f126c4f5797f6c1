import {
  activation,
  add,
  exponential,
  multiply,
  permute,
  scale,
  slice,
  sumTo,
  trace,
  type Program,
  type Value,
} from '@emu/program';

import type { VaeConfig } from '../../models/config.js';
import { vaePrefix, vaeScale, type VaeShape } from '../../models/vae-program.js';
import { decodeLatents, encodeToMoments, vaeDecoder, vaeEncoder } from '../../models/vae.js';
import { Parameters } from '../../nn/parameters.js';
import { precisionOf, type ModelProgramOptions } from '../../nn/program-options.js';

/** Weights of the autoencoder's terms, each a mean over elements. */
export interface AutoencoderOptions extends ModelProgramOptions {
  /** Of the mean absolute difference. */
  readonly l1Weight: number;
  /** Of the mean squared difference. */
  readonly l2Weight: number;
  /** Of the Kullback-Leibler divergence of the latents from a unit normal, a mean per element of the latents. */
  readonly klWeight: number;
}

/**
 * The variational autoencoder of latent diffusion (Kingma and Welling 2014; Rombach et al. 2022, without its adversarial
 * and perceptual terms): pictures to Gaussian latents, a draw of them, and back.
 * Inputs: `image` f32[B,3,H,W] in -1..1; `noise` f32[B,C,H/s,W/s], unit normal. Outputs: `loss` f32[1], the weighted sum
 * of `loss.l1`, `loss.l2` and `loss.kl`.
 */
export function autoencoderProgram(config: VaeConfig, shape: VaeShape, options: AutoencoderOptions): Program {
  const { batch, height, width } = shape;
  const side = vaeScale(config);
  return trace(`autoencoder.${batch}x${height}x${width}`, (t) => {
    const p = Parameters.of(t, precisionOf(options), vaePrefix);
    const image = permute(t.input('image', [batch, config.inChannels, height, width]), [0, 2, 3, 1]);
    const noise = t.input('noise', [batch, config.latentChannels, height / side, width / side]);
    const moments = t.block('vae.encoder', () => encodeToMoments(vaeEncoder(p, config), image, config));
    const half = { axis: 3, length: config.latentChannels };
    const mean = slice(moments, { ...half, start: 0 });
    const logVariance = slice(moments, { ...half, start: config.latentChannels });
    const deviation = exponential(scale(logVariance, { factor: 0.5 }));
    const latents = add(mean, multiply(deviation, permute(noise, [0, 2, 3, 1])));
    const restored = t.block('vae.decoder', () => decodeLatents(vaeDecoder(p, config), latents, config));
    const difference = add(restored, scale(image, { factor: -1 }));
    const terms = [
      { name: 'loss.l1', weight: options.l1Weight, value: meanOf(absolute(difference)) },
      { name: 'loss.l2', weight: options.l2Weight, value: meanOf(multiply(difference, difference)) },
      { name: 'loss.kl', weight: options.klWeight, value: divergence(mean, logVariance, deviation) },
    ];
    for (const { name, value } of terms) t.output(name, value);
    const weighted = terms.map(({ value, weight }) => scale(value, { factor: weight }));
    t.output('loss', weighted.reduce(add));
  });
}

/** |x| = relu(x) + relu(-x). */
function absolute(x: Value): Value {
  return add(activation(x, 'relu'), activation(scale(x, { factor: -1 }), 'relu'));
}

function meanOf(x: Value): Value {
  const count = x.shape.reduce((product, side) => product * side, 1);
  return scale(sumTo(x, [1]), { factor: 1 / count });
}

/** Mean of (mean² + variance - 1 - log variance) / 2. */
function divergence(mean: Value, logVariance: Value, deviation: Value): Value {
  const squares = add(multiply(mean, mean), multiply(deviation, deviation));
  return scale(meanOf(add(squares, scale(logVariance, { factor: -1 }))), { factor: 0.5, offset: -0.5 });
}
