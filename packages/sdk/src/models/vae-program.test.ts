import { describe, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats } from '../testing/reference-data.js';
import { expectGolden, runOnCheckpoint } from '../testing/reference-model.js';
import { gaussianOf, vaeDecodeProgram, vaeEncodeProgram, vaePrefix } from './vae-program.js';

const config = referenceConfig.visualDecoder.vae;

describe.skipIf(!referenceExists).each(testBackends)(
  'the VAE, against the authors, on the $name backend',
  ({ backend }) => {
    it('decodes latents', async () => {
      const program = vaeDecodeProgram(config, { batch: 1, height: 8, width: 8 });
      const latents = referenceFloats('goldens/vae.safetensors', 'decode.z');
      const { image } = await runOnCheckpoint(backend, program, 'vae', vaePrefix, { latents });
      expectGolden(image, 'vae.safetensors', 'decode.sample');
    });

    it('encodes a picture to moments, mean and deviation', async () => {
      const program = vaeEncodeProgram(config, { batch: 1, height: 64, width: 64 });
      const image = referenceFloats('goldens/vae.safetensors', 'encode.image');
      const { moments } = await runOnCheckpoint(backend, program, 'vae', vaePrefix, { image });
      expectGolden(moments, 'vae.safetensors', 'encode.moments');
      const { mean, deviation } = gaussianOf(moments as Float32Array, 1);
      expectGolden(mean, 'vae.safetensors', 'encode.mean');
      expectGolden(deviation, 'vae.safetensors', 'encode.std');
    });
  },
);
