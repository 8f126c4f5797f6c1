import type { ServedModel } from './served-model.js';

/** Runs a few tokens, and a step of a picture, so that the first caller does not wait for loading and planning. */
export async function warmUp({ emu }: ServedModel): Promise<void> {
  await emu.generate('.', { maxNewTokens: 2, numBeams: 1 }).result();
  if (!emu.model.has('unet') || !emu.model.has('vae')) return;
  await emu.imagine('.', { steps: 1, seed: 0 }).result();
}
