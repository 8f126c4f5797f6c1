import { describe, expect, it } from 'vitest';

import { referenceExists, referencePath } from '../testing/reference-data.js';
import { openTensorFile } from './open.js';
import { readTensor } from './read-tensor.js';

describe.skipIf(!referenceExists)('the reference checkpoint', () => {
  it('opens the encoder', async () => {
    const file = await openTensorFile(referencePath('checkpoint/multimodal_encoder/pytorch_model.bin'));
    expect(file.entries.size).toBe(115);
    const q = file.entries.get('visual.blocks.0.attn.proj.weight');
    console.log(q, q && (await readTensor(q)).data.slice(0, 3));
    for (const f of [
      'Emu-instruct.pt',
      'unet/diffusion_pytorch_model.bin',
      'vae/diffusion_pytorch_model.bin',
      'safety_checker/pytorch_model.bin',
    ]) {
      console.log(f, (await openTensorFile(referencePath(`checkpoint/${f}`))).entries.size);
    }
  });
});
