import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Emu } from '@emu/sdk';
import { initializeCheckpoint, parseEmuConfig } from '@emu/sdk/initialize';

const models = join(import.meta.dirname, '../../../../models');

interface DemoSizes {
  readonly visual: object;
  readonly causalTransformer: object;
  readonly llama: object;
  readonly visualDecoder: { readonly unet: object; readonly vae: object };
}

/** An untrained model with the demo's parts, fewer and narrower: what it says means nothing, how it runs is real. */
export async function openSmallModel(
  options: { readonly cacheSlots?: number; readonly queueLimit?: number } = {},
): Promise<{
  readonly emu: Emu;
  readonly folder: string;
  close(): Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'emu-small-'));
  await writeSmallModel(folder);
  const emu = await Emu.fromPretrained(folder, { threads: 2, ...options });
  const close = async (): Promise<void> => {
    await emu.dispose();
    await rm(folder, { recursive: true, force: true });
  };
  return { emu, folder, close };
}

export async function writeSmallModel(folder: string): Promise<void> {
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
    llama: { ...demo.llama, width: 48, layers: 2, heads: 4, feedForwardWidth: 64, contextLength: 2048 },
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
