import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Emu } from '../../node.js';
import type { SampleContext, TrainingTask } from '../task.js';

/**
 * Opens the model as it is in the middle of training: the folder that the task would save, written into a temporary
 * place, in f32. `use` must be done with the model when its promise settles.
 */
export async function withTrainedCopy<T>(
  save: TrainingTask['save'],
  { weights, signal }: SampleContext,
  use: (emu: Emu) => Promise<T>,
): Promise<T> {
  return inTemporaryFolder(async (folder) => {
    await save(weights, folder);
    const emu = await Emu.fromPretrained(folder, { dtype: 'f32', ...(signal && { signal }) });
    try {
      return await use(emu);
    } finally {
      await emu.dispose();
    }
  });
}

/** A folder that is there as long as `use` runs. */
export async function inTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'emu-samples-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
