import { timestepProjection, unetPrefix } from '@emu/sdk/models';
import { alphasCumprod, addNoise, parseSchedulerConfig } from '@emu/sdk/diffusion';
import { noiseProgram } from '@emu/sdk/train';

import type { JsonRecord } from '../goldens.js';
import type { StageContext } from '../stage.js';
import type { Subject } from '../subject.js';
import { recordParameter } from '../training/record-parameter.js';
import { TrainedSession } from '../training/trained-session.js';
import { conditionOf } from './condition.js';

const file = 'training_unet.safetensors';

/** Loss of the noise prediction and the gradient of every parameter of the U-Net. */
export async function noiseGradients(context: StageContext, subject: Subject): Promise<JsonRecord> {
  const { goldens, recorder } = context;
  const { visualDecoder, causalTransformer } = subject.config;
  if (visualDecoder === undefined || goldens.names(file).length === 0) return {};
  const [x0, noise] = [await goldens.input(file, 'x0'), await goldens.input(file, 'noise')];
  const timesteps = Array.from((await goldens.input(file, 'timesteps')).data, Number);
  const [batch = 0, , height = 0, width = 0] = x0.shape;
  const alphas = alphasCumprod(parseSchedulerConfig(subject.schedulerConfig));
  const noisy = addNoise(alphas, x0.data as Float32Array, noise.data as Float32Array, timesteps);
  await recorder.floats(file, 'noisy', x0.shape, noisy);
  const shape = { batch, height, width, tokens: causalTransformer.queries };
  const inputs = {
    sample: noisy,
    target: noise.data,
    condition: await conditionOf(context, batch),
    timeFeatures: timestepProjection(timesteps, visualDecoder.unet.blockChannels[0] ?? 0, visualDecoder.unet),
  };
  const session = await TrainedSession.open(
    subject.openSession(),
    noiseProgram(visualDecoder.unet, shape),
    (name) => subject.model.tensor('unet', name.slice(unetPrefix.length)),
  );
  try {
    const loss = Number((await session.run(inputs))['loss']?.[0]);
    await recorder.floats(file, 'loss', [1], Float32Array.of(loss));
    await session.differentiate(inputs);
    const place = { goldens, recorder, file, prefix: 'grad.', touchedRows: [] };
    for (const name of session.parameters) {
      const parameter = name.slice(unetPrefix.length);
      await recordParameter(place, parameter, session.shapeOf(name), await session.gradientOf(name));
    }
    return { unet_loss: loss };
  } finally {
    await session.dispose();
  }
}
