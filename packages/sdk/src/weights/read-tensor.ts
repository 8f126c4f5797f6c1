import type { Tensor } from '@emu/program';

import { withNodeFile } from './node-file.js';
import { readTensorFrom, type TensorEntry } from './tensor-source.js';

/**
 * Opens the entry's file and reads its values: contiguous, row-major, in the stored dtype.
 * For small tensors, tests and tools; models map the files.
 * @throws EmuError MODEL_NOT_FOUND, CHECKPOINT_CORRUPT
 */
export async function readTensor(entry: TensorEntry): Promise<Tensor> {
  return withNodeFile(entry.file, (file) => readTensorFrom(file, entry));
}
