import { dirname, join } from 'node:path';

import { makeFolder, writeFileAtomically, writeText } from './atomic-file.js';
import type { PlannedFile } from './convert-plan.js';
import type { ConvertRecord } from './convert-record.js';
import type { TextFile } from './convert-texts.js';
import { withNodeFile } from './node-file.js';
import type { WeightsProgress } from './progress.js';
import { writeSafetensors } from './safetensors-writer.js';

/** A model folder that was written. */
export interface WrittenModel {
  /** All files of the model, relative to the folder. */
  readonly files: readonly string[];
  /** Those among them that an earlier call had finished. */
  readonly kept: readonly string[];
  /** Bytes of tensors in the folder. */
  readonly bytes: number;
}

export interface WriteModelOptions {
  readonly phase: WeightsProgress['phase'];
  readonly onProgress?: (progress: WeightsProgress) => void;
  readonly signal?: AbortSignal;
}

const copyChunkBytes = 1 << 24;

async function copyAtomically(from: string, to: string): Promise<void> {
  await withNodeFile(from, (file) =>
    writeFileAtomically(to, async (put) => {
      for (let done = 0; done < file.size; done += copyChunkBytes) {
        await put(await file.read(done, Math.min(copyChunkBytes, file.size - done)));
      }
    }),
  );
}

/**
 * Writes the weights and then the small files of a model folder, in the order given. Files that the record has as
 * finished stay; every other appears whole or not at all.
 * @throws EmuError as writeSafetensors; the signal's reason.
 */
export async function writeModelFolder(
  to: string,
  record: ConvertRecord,
  weights: readonly PlannedFile[],
  texts: readonly TextFile[],
  { phase, onProgress, signal }: WriteModelOptions,
): Promise<WrittenModel> {
  const total = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  const kept: string[] = [];
  let before = 0;
  for (const file of weights) {
    signal?.throwIfAborted();
    if (await record.isDone(file.path)) {
      kept.push(file.path);
    } else {
      await makeFolder(dirname(join(to, file.path)));
      const start = before;
      await writeSafetensors(join(to, file.path), file.tensors, {
        metadata: { format: 'pt' },
        ...(signal ? { signal } : {}),
        onProgress: (completed, whole) =>
          onProgress?.({
            phase,
            file: file.path,
            // The header is not counted: the total is that of the tensors.
            completed: start + Math.max(0, completed - (whole - file.bytes)),
            total,
            unit: 'bytes',
          }),
      });
      await record.finish(file.path);
    }
    before += file.bytes;
  }
  for (const text of texts) {
    signal?.throwIfAborted();
    if (await record.isDone(text.path)) {
      kept.push(text.path);
      continue;
    }
    const target = join(to, text.path);
    await makeFolder(dirname(target));
    if (text.kind === 'copy') await copyAtomically(text.from, target);
    else await writeText(target, text.text);
    await record.finish(text.path);
  }
  return { files: [...weights, ...texts].map(({ path }) => path), kept, bytes: total };
}
