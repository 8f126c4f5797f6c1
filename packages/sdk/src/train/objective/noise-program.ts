import { permute, reshape, scale, squaredError, sumTo, trace, type Program } from '@emu/program';

import { atLevel, type UNetConfig } from '../../models/config.js';
import { predictNoise, unet } from '../../models/unet.js';
import { unetPrefix, type UNetShape } from '../../models/unet-program.js';
import { Parameters } from '../../nn/parameters.js';
import { precisionOf, type ModelProgramOptions } from '../../nn/program-options.js';

/**
 * The loss of the visual decoder: mean squared error of the predicted noise (Ho et al. 2020, simple loss) or velocity.
 * Inputs: `sample` f32[B,4,h,w], latents with noise added; `timeFeatures` f32[B,C0] from `timestepProjection`;
 * `condition` f32[B,N,D]; `target` f32[B,4,h,w], what is to be predicted: the noise that was added, or what `velocity`
 * makes of it. Output: `loss` f32[1].
 */
export function noiseProgram(
  config: UNetConfig,
  shape: UNetShape,
  options: ModelProgramOptions = {},
): Program {
  const { batch, height, width, tokens } = shape;
  return trace(`noise.${batch}x${height}x${width}`, (t) => {
    const model = unet(Parameters.of(t, precisionOf(options), unetPrefix), config);
    const latents = [batch, config.inChannels, height, width];
    const sample = t.input('sample', latents);
    const timeFeatures = t.input('timeFeatures', [batch, atLevel(config.blockChannels, 0, 'blockChannels')]);
    const condition = t.input('condition', [batch, tokens, config.crossAttentionWidth]);
    const channelsLast = permute(sample, [0, 2, 3, 1]);
    const predicted = predictNoise(model, channelsLast, timeFeatures, condition, config, () => undefined);
    const target = permute(t.input('target', latents), [0, 2, 3, 1]);
    const perPicture = [batch, config.outChannels * height * width];
    const errors = squaredError(reshape(predicted, perPicture), reshape(target, perPicture));
    t.output('loss', scale(sumTo(errors, [1]), { factor: 1 / batch }));
  });
}
