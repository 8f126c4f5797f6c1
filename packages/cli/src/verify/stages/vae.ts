import { gaussianOf, vaeDecodeProgram, vaeEncodeProgram } from '@emu/sdk/models';

import type { Stage } from '../stage.js';

const file = 'vae.safetensors';

/** The VAE in both directions. */
export const vaeStage: Stage = {
  name: 'vae',
  async run({ goldens, subjects, recorder }) {
    const subject = await subjects.base();
    const vae = subject.config.visualDecoder?.vae;
    if (vae === undefined) throw new Error('the checkpoint has no vae/');
    const precision = { precision: { matrices: subject.dtype } };

    const image = await goldens.input(file, 'encode.image');
    const [batch = 0, , height = 0, width = 0] = image.shape;
    const encode = vaeEncodeProgram(vae, { batch, height, width }, precision);
    const moments = (await subject.run(encode, { image: image.data }))['moments'] as Float32Array;
    const shape = encode.values[encode.outputs[0]?.value ?? -1]?.shape ?? [];
    await recorder.floats(file, 'encode.moments', shape, moments);
    const half = [batch, (shape[1] ?? 0) / 2, ...shape.slice(2)];
    const { mean, deviation } = gaussianOf(moments, batch);
    await recorder.floats(file, 'encode.mean', half, mean);
    await recorder.floats(file, 'encode.std', half, deviation);

    const latents = await goldens.input(file, 'decode.z');
    const [count = 0, , rows = 0, columns = 0] = latents.shape;
    const decode = vaeDecodeProgram(vae, { batch: count, height: rows, width: columns }, precision);
    const picture = await subject.run(decode, { latents: latents.data });
    const pictureShape = decode.values[decode.outputs[0]?.value ?? -1]?.shape ?? [];
    await recorder.floats(file, 'decode.sample', pictureShape, picture['image'] as Float32Array);
  },
};
