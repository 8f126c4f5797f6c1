import { describe, expect, it } from 'vitest';

import type { Backend } from '@emu/program';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats, referenceTensor } from '../testing/reference-data.js';
import { expectGolden, relativeL2, runOnCheckpoint } from '../testing/reference-model.js';
import type { ModelProgramOptions } from '../nn/program-options.js';
import type { UNetConfig } from './config.js';
import { timestepProjection, unetPrefix, unetProgram } from './unet-program.js';

const config = referenceConfig.visualDecoder.unet;

async function predict(
  backend: Backend,
  name: string,
  options: ModelProgramOptions & { readonly config?: UNetConfig } = {},
) {
  const sample = referenceTensor('goldens/unet.safetensors', `${name}.sample`);
  const [timestep] = referenceTensor('goldens/unet.safetensors', `${name}.timestep`).data;
  const [batch, , height, width] = sample.shape as [number, number, number, number];
  const program = unetProgram(options.config ?? config, { batch, height, width, tokens: 8 }, options);
  const timesteps = new Array<number>(batch).fill(Number(timestep));
  const outputs = await runOnCheckpoint(backend, program, 'unet', unetPrefix, {
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

describe.skipIf(!referenceExists).each(testBackends)(
  'the U-Net, against the authors, on the $name backend',
  ({ backend }) => {
    it('gives every stage', async () => {
      const { outputs } = await predict(backend, 'square', { stages: true });
      for (const stage of goldenStages) expectGolden(outputs[stage], 'unet.safetensors', `square.${stage}`);
      expectGolden(outputs['noise'], 'unet.safetensors', 'square.out');
    });

    it.each(['odd', 'odd2'])(
      'reaches the right size on the way up for sides that do not halve: %s',
      async (name) => {
        const { outputs, program } = await predict(backend, name);
        expect(program.outputs).toHaveLength(1);
        expectGolden(outputs['noise'], 'unet.safetensors', `${name}.out`);
      },
    );

    it('takes linear layers for the 1x1 convolutions around the transformer blocks', async () => {
      const linear = { ...config, useLinearProjection: true };
      const { outputs, program } = await predict(backend, 'square', { config: linear });
      const projection = program.weights.find(({ name }) => name.endsWith('attentions.0.proj_in.weight'));
      expect(program.values[projection?.value ?? -1]?.shape).toEqual([8, 8]);
      expectGolden(outputs['noise'], 'unet.safetensors', 'square.out');
    });

    it('stays near with bf16 weights', async () => {
      const { outputs } = await predict(backend, 'square', { precision: { matrices: 'bf16' } });
      const golden = referenceFloats('goldens/unet.safetensors', 'square.out');
      expect(relativeL2(outputs['noise'] as Float32Array, golden)).toBeLessThan(2e-2);
    });
  },
);

describe('timestepProjection', () => {
  it('puts cosines first when flipped, and ends an odd width in 0', () => {
    const plain = { flipSinToCos: false, frequencyShift: 1 };
    const angle = [7, Math.fround(7 * Math.fround(1e-4))] as const;
    const sines = angle.map((a) => Math.fround(Math.sin(a)));
    const cosines = angle.map((a) => Math.fround(Math.cos(a)));
    const near = (values: Float32Array, expected: readonly number[]) => {
      expect(relativeL2(values, expected)).toBeLessThan(1e-7);
    };
    near(timestepProjection([7], 4, plain), [...sines, ...cosines]);
    near(timestepProjection([7], 5, { ...plain, flipSinToCos: true }), [...cosines, ...sines, 0]);
  });
});
