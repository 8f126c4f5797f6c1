import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { initializeCheckpoint, parseEmuConfig } from '@emu/sdk/initialize';

const models = join(import.meta.dirname, '../../../../models');

interface DemoSizes {
  readonly visual: object;
  readonly causalTransformer: object;
  readonly llama: object;
  readonly visualDecoder: { readonly unet: object; readonly vae: object };
}

/**
 * Writes an untrained model of about 3 MB into a folder: the demo's sizes with fewer and narrower layers. It says
 * nothing sensible, but all of the command line runs on it.
 */
export async function makeSmallModel(folder: string): Promise<void> {
  const demo = JSON.parse(await readFile(join(models, 'emu-demo.json'), 'utf8')) as DemoSizes;
  const config = {
    ...demo,
    visual: { ...demo.visual, imageSize: 28, width: 32, layers: 1, headWidth: 16, mlpWidth: 64 },
    causalTransformer: {
      ...demo.causalTransformer,
      queries: 4,
      width: 32,
      heads: 2,
      headWidth: 16,
      feedForwardWidth: 64,
      layers: 1,
      encoderWidth: 32,
      outputWidth: 48,
    },
    llama: { ...demo.llama, width: 48, layers: 2, heads: 4, feedForwardWidth: 64, contextLength: 256 },
    visualDecoder: {
      unet: { ...demo.visualDecoder.unet, blockChannels: [8, 8, 16, 16], crossAttentionWidth: 48 },
      vae: { ...demo.visualDecoder.vae, blockChannels: [8, 8, 16, 16] },
    },
  };
  await initializeCheckpoint({
    config: parseEmuConfig(config, 'small model'),
    tokenizerFolder: join(models, 'tokenizer'),
    seed: 5,
    to: folder,
  });
}
