import { notFound, quoted } from './checkpoint-error.js';
import { statOrUndefined, withNodeFile } from './node-file.js';
import { readTensorFile } from './read-tensor-file.js';
import { openShardIndex } from './shard-index.js';
import type { TensorFile } from './tensor-source.js';

/**
 * Opens a checkpoint: a safetensors file, a zip file of torch.save, or the `*.index.json` of a sharded one. Only
 * headers are read.
 * @throws EmuError MODEL_NOT_FOUND if the path is absent, a folder, pipe or device, or a circle of links;
 * CHECKPOINT_CORRUPT naming the broken rule; CHECKPOINT_UNSAFE if loading would need code from the file.
 */
export async function openTensorFile(path: string): Promise<TensorFile> {
  if (path.endsWith('.index.json')) return openShardIndex(path, openTensorFile);
  return withNodeFile(path, (file) => readTensorFile(file, path));
}

/**
 * Opens the first of several names that exists, e.g. the safetensors file before the pickle.
 * @throws EmuError MODEL_NOT_FOUND listing the names if none exists; else as openTensorFile.
 */
export async function openFirst(paths: readonly string[]): Promise<TensorFile> {
  for (const path of paths) {
    if (await statOrUndefined(path)) return openTensorFile(path);
  }
  const [first = ''] = paths;
  throw notFound({ reader: 'weights', path: first }, `no such file; tried ${paths.map(quoted).join(', ')}`, {
    details: { tried: paths },
  });
}
