// The small untrained model that the demo, the examples and the README snippets run on: out/emu-demo.
import { join } from 'node:path';
import { root } from './setup.mjs';

export const demoModel = join(root, 'out', 'emu-demo');

/** Makes the model if it is not there; the packages must be built. Returns its folder. */
export async function makeDemoModel(onProgress) {
  const { initializeCheckpoint, readEmuConfig } = await import('@emu/sdk/initialize');
  await initializeCheckpoint({
    config: await readEmuConfig(join(root, 'models', 'emu-demo.json')),
    tokenizerFolder: join(root, 'models', 'tokenizer'),
    seed: 20230711,
    to: demoModel,
    ...(onProgress && { onProgress }),
  });
  return demoModel;
}
