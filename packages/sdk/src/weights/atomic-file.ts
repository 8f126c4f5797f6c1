import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { EmuError } from '@emu/program';

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  EEXIST: 'a file of that name is in the way',
  EISDIR: 'a folder of that name is in the way',
  ENOTDIR: 'a part of the path is not a folder',
  ENOENT: 'the folder does not exist',
  ENAMETOOLONG: 'the name is longer than the system allows',
  ELOOP: 'the symbolic links lead in a circle',
  EFBIG: 'the file would be larger than the system allows',
};

/** The typed error for a failure of the file system while writing; every other error is returned as it is. */
export function writeError(error: unknown, path: string): unknown {
  if (EmuError.isInstance(error) || !(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === undefined) return error;
  const details = { path, code };
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new EmuError('OUT_OF_MEMORY', `[write] ${path}: no space is left on the disk`, {
      hint: 'Free space or give another folder; what is finished stays.',
      details,
      cause: error,
    });
  }
  const reason = reasons[code];
  if (reason === undefined) return error;
  return new EmuError('INVALID_OPTION', `[write] ${path}: ${reason}`, {
    hint: 'Give another target.',
    details,
    cause: error,
  });
}

/**
 * Makes a folder and those above it; one that exists is fine.
 * @throws EmuError INVALID_OPTION if that is not possible there, OUT_OF_MEMORY if the disk is full.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeLevels(resolve(path));
  } catch (error) {
    throw writeError(error, path);
  }
}

// Level by level: where a folder that is there says ENOENT to a new one, as /proc does, mkdir's own `recursive` never
// comes back, and no signal is heard any more.
async function makeLevels(path: string): Promise<void> {
  if (await made(path)) return;
  const above = dirname(path);
  if (above !== path) await makeLevels(above);
  if (await made(path)) return;
  throw new EmuError('INVALID_OPTION', `[write] ${path}: the system makes no folder there`, {
    hint: 'Give another target.',
    details: { path, code: 'ENOENT' },
  });
}

/** Whether a folder is there now; false where something is missing above it. */
async function made(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if (await isFolder(path)) return true;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
  }
}

/** Makes a rename durable; systems that cannot open folders do it by themselves. */
export async function syncFolder(path: string): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch {
    return;
  }
  try {
    await handle.sync();
  } catch {
    // Some file systems refuse to sync a folder; the file itself is safe.
  } finally {
    await handle.close();
  }
}

/**
 * Writes a file so that its name never stands for half of it: temporary name, fsync, rename. A failed write leaves
 * nothing behind.
 * @throws EmuError INVALID_OPTION if the place cannot be written, OUT_OF_MEMORY if the disk is full; what `write`
 * throws.
 */
export async function writeFileAtomically(
  path: string,
  write: (put: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const partial = `${path}.partial`;
  try {
    const handle = await open(partial, 'w');
    try {
      await write((bytes) => writeAll(handle, bytes));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw writeError(error, path);
  }
  await syncFolder(dirname(path));
}

/** Writes text so that its name never stands for half of it. @throws as `writeFileAtomically`. */
export async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomically(path, (put) => put(new TextEncoder().encode(text)));
}
