import { describe, expect, it } from 'vitest';

import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats, referenceTensor } from '../testing/reference-data.js';
import { expectGolden, runOnReference } from '../testing/reference-model.js';
import { timestepProjection, unetPrefix, unetProgram } from './unet-program.js';

const config = referenceConfig.visualDecoder.unet;

async function predict(name: string, stages: boolean) {
  const sample = referenceTensor('goldens/unet.safetensors', `${name}.sample`);
  const [timestep] = referenceTensor('goldens/unet.safetensors', `${name}.timestep`).data;
  const [batch, , height, width] = sample.shape as [number, number, number, number];
  const program = unetProgram(config, { batch, height, width, tokens: 8 }, { stages });
  const timesteps = new Array<number>(batch).fill(Number(timestep));
  const outputs = await runOnReference(program, 'unet', unetPrefix, {
    sample: sample.data,
    timeFeatures: timestepProjection(timesteps, config.blockChannels[0], config),
    condition: referenceFloats('goldens/generate_image.safetensors', 'text_cfg.embeddings'),
  });
  return { outputs, program };
}

const goldenStages = [
  'time_embedding',
  'conv_in',
  'down0.resnet0',
  'down0.attn0',
  'down0',
  'down1',
  'down2',
  'down3',
  'mid_block',
  'up0',
  'up1',
  'up2',
  'up3',
];

describe.skipIf(!referenceExists)('the U-Net, against the authors', () => {
  it('gives every stage', async () => {
    const { outputs } = await predict('square', true);
    for (const stage of goldenStages) expectGolden(outputs[stage], 'unet.safetensors', `square.${stage}`);
    expectGolden(outputs['noise'], 'unet.safetensors', 'square.out');
  });

  it.each(['odd', 'odd2'])(
    'reaches the right size on the way up for sides that do not halve: %s',
    async (name) => {
      const { outputs, program } = await predict(name, false);
      expect(program.outputs).toHaveLength(1);
      expectGolden(outputs['noise'], 'unet.safetensors', `${name}.out`);
    },
  );
});
