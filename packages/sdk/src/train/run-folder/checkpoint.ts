import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError, type Shape, type TensorData } from '@emu/program';

import { makeFolder, syncFolder, writeError, writeFileAtomically } from '../../weights/atomic-file.js';
import { openTensorFile, readTensor, writeSafetensors, type TensorFile } from '../../weights/index.js';
import { parseRecord, recordText, type CheckpointRecord } from './checkpoint-record.js';

const recordFile = 'checkpoint.json';
const tensorFile = 'state.safetensors';
const folderName = /^checkpoint-(\d+)$/;
/** A folder that is being written or taken away; never read. */
const unfinished = '.partial';

export interface StateTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly read: () => Promise<TensorData>;
}

export interface FoundCheckpoint {
  readonly step: number;
  readonly folder: string;
}

/** A checkpoint whose bytes are those that were written. */
export interface OpenCheckpoint extends FoundCheckpoint {
  readonly record: CheckpointRecord;
  readonly tensors: TensorFile;
  readonly read: (name: string) => Promise<TensorData>;
}

/**
 * Writes `checkpoint-<step>` so that its name never stands for half of it: everything goes into a folder of another
 * name, is synced, and then renamed. What is there stays as it is until then, and if it fails.
 * @throws EmuError OUT_OF_MEMORY if the disk is full, INVALID_OPTION if the folder cannot be written.
 */
export async function writeCheckpoint(
  runFolder: string,
  record: Omit<CheckpointRecord, 'tensors'>,
  tensors: readonly StateTensor[],
): Promise<string> {
  const folder = join(runFolder, `checkpoint-${record.step}`);
  const partial = `${folder}${unfinished}`;
  try {
    await rm(partial, { recursive: true, force: true });
    await makeFolder(partial);
    const hash = createHash('sha256');
    const bytes = await writeSafetensors(
      join(partial, tensorFile),
      tensors.map(({ name, shape, read }) => ({ name, shape, dtype: 'f32', read })),
      { onBytes: (part) => void hash.update(part) },
    );
    const whole: CheckpointRecord = {
      ...record,
      tensors: { file: tensorFile, bytes, sha256: hash.digest('hex') },
    };
    const text = new TextEncoder().encode(recordText(whole));
    await writeFileAtomically(join(partial, recordFile), (put) => put(text));
    await syncFolder(partial);
    // The same step again, after an older run of it: the two have the same weights.
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
    await syncFolder(runFolder);
    return folder;
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    throw writeError(error, folder);
  }
}

/** The checkpoints of a run, oldest first. */
export async function listCheckpoints(runFolder: string): Promise<readonly FoundCheckpoint[]> {
  const names = await readdir(runFolder).catch(() => []);
  return names
    .flatMap((name) => {
      const step = folderName.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), folder: join(runFolder, name) }];
    })
    .sort((a, b) => a.step - b.step);
}

/** Takes old checkpoints away, all but the newest `limit`, and what a killed process left half done. */
export async function removeOldCheckpoints(runFolder: string, limit: number): Promise<void> {
  const known = await listCheckpoints(runFolder);
  for (const { folder } of known.slice(0, Math.max(0, known.length - limit))) {
    // Renamed first: a removal that is cut short must not leave something that looks like a checkpoint.
    await rm(`${folder}${unfinished}`, { recursive: true, force: true });
    await rename(folder, `${folder}${unfinished}`);
    await rm(`${folder}${unfinished}`, { recursive: true, force: true });
  }
  for (const name of await readdir(runFolder)) {
    if (name.startsWith('checkpoint-') && name.endsWith(unfinished)) {
      await rm(join(runFolder, name), { recursive: true, force: true });
    }
  }
}

/**
 * Opens a checkpoint and compares its bytes with the checksums.
 * @throws EmuError CHECKPOINT_CORRUPT for a record that cannot be read or bytes that differ from those written,
 *   MODEL_NOT_FOUND if there is no checkpoint.
 */
export async function openCheckpoint(folder: string): Promise<OpenCheckpoint> {
  const record = await readRecord(folder);
  const path = join(folder, record.tensors.file);
  const found = await sha256Of(path);
  if (found !== record.tensors.sha256) {
    throw new EmuError(
      'CHECKPOINT_CORRUPT',
      `[train] ${path}: its SHA-256 is ${found.slice(0, 16)}..., written was ${record.tensors.sha256.slice(0, 16)}...`,
      {
        hint: 'The file was damaged after it was written; go on from an older checkpoint.',
        details: { path, found, written: record.tensors.sha256 },
      },
    );
  }
  const tensors = await openTensorFile(path);
  return {
    step: record.step,
    folder,
    record,
    tensors,
    read: async (name) => {
      const entry = tensors.entries.get(name);
      if (entry !== undefined) return (await readTensor(entry)).data;
      throw new EmuError('CHECKPOINT_CORRUPT', `[train] ${path} has no tensor ${JSON.stringify(name)}`, {
        hint: 'The checkpoint is of another model or another recipe.',
        details: { path, tensor: name },
      });
    },
  };
}

async function readRecord(folder: string): Promise<CheckpointRecord> {
  const path = join(folder, recordFile);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new EmuError(
      'MODEL_NOT_FOUND',
      `[train] ${folder} is no checkpoint: ${recordFile} cannot be read`,
      {
        details: { path },
        cause: error,
      },
    );
  }
  let written: ReturnType<typeof parseRecord>;
  try {
    written = parseRecord(text);
  } catch (error) {
    throw new EmuError('CHECKPOINT_CORRUPT', `[train] ${path} does not describe a checkpoint`, {
      hint: 'Go on from an older checkpoint.',
      details: { path },
      cause: error,
    });
  }
  if (written.isIntact) return written.record;
  throw new EmuError('CHECKPOINT_CORRUPT', `[train] ${path}: its SHA-256 is not the one that was written`, {
    hint: 'The file was changed after it was written; go on from an older checkpoint.',
    details: { path },
  });
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const part of createReadStream(path, { highWaterMark: 1 << 20 }))
      hash.update(part as Uint8Array);
  } catch (error) {
    throw new EmuError('CHECKPOINT_CORRUPT', `[train] ${path} cannot be read`, {
      hint: 'Go on from an older checkpoint.',
      details: { path },
      cause: error,
    });
  }
  return hash.digest('hex');
}
