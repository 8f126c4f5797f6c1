import { constants, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';

import { EmuError } from '@emu/program';

import { corrupt, notFound, type FilePlace } from './checkpoint-error.js';
import type { RandomAccess } from './random-access.js';

/** An open regular file. Close it, or declare it with `await using`. */
export interface NodeFile extends RandomAccess {
  readonly path: string;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longest path any supported system takes; longer ones would only repeat themselves in messages. */
const longestPath = 4096;

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a named pipe';
  if (stats.isSocket()) return 'a socket';
  if (stats.isCharacterDevice() || stats.isBlockDevice()) return 'a device';
  return 'not a regular file';
}

function errorCodeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Turns a failure of the file system into the typed error for a model file. */
function accessError(error: unknown, place: FilePlace): Error {
  const code = errorCodeOf(error);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'no such file',
    ENOTDIR: 'no such file: a part of the path is not a folder',
    ELOOP: 'its symbolic links lead in a circle',
    ENAMETOOLONG: 'the name is longer than the system allows',
    EACCES: 'this user may not read it',
    EPERM: 'this user may not read it',
    ENXIO: 'it is not a regular file',
    EISDIR: 'it is a folder, a file is needed',
    ERR_INVALID_ARG_VALUE: 'the path contains a NUL character',
    EMFILE: 'too many files are open',
    ENFILE: 'too many files are open',
  };
  const reason = reasons[code];
  if (reason === undefined) {
    return corrupt(place, `cannot be read (${code || String(error)})`, { cause: error, details: { code } });
  }
  return notFound(place, reason, { cause: error, details: { code } });
}

function checkPath(path: string): void {
  if (path.length > longestPath) {
    throw notFound(
      { reader: 'weights', path: `${path.slice(0, 80)}...` },
      `the path has ${path.length} characters, the limit is ${longestPath}`,
      { details: { length: path.length } },
    );
  }
}

/**
 * Status of a path, following links, or undefined where nothing is.
 * @throws EmuError MODEL_NOT_FOUND for link circles, forbidden or malformed paths.
 */
export async function statOrUndefined(path: string): Promise<Stats | undefined> {
  checkPath(path);
  try {
    return await stat(path);
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw accessError(error, { reader: 'weights', path });
  }
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done === length ? bytes : bytes.subarray(0, done);
}

/**
 * Opens a regular file for reading. Links are followed (model caches are made of links); folders, pipes, sockets
 * and devices are refused without being opened for long: a pipe could otherwise block for ever.
 * @throws EmuError MODEL_NOT_FOUND
 */
export async function openNodeFile(path: string): Promise<NodeFile> {
  checkPath(path);
  const place = { reader: 'weights', path };
  let handle: FileHandle;
  let stats: Stats;
  try {
    stats = await stat(path);
    if (!stats.isFile()) throw notFound(place, `is ${kindOf(stats)}, a file is needed`);
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (EmuError.isInstance(error)) throw error;
    throw accessError(error, place);
  }
  // Asked again on the open handle: the name may have been given to something else in between.
  stats = await handle.stat();
  if (!stats.isFile()) {
    await handle.close();
    throw notFound(place, `is ${kindOf(stats)}, a file is needed`);
  }
  const close = (): Promise<void> => handle.close();
  return {
    path,
    size: stats.size,
    read: async (offset, length) => {
      try {
        return await readAt(handle, offset, length);
      } catch (error) {
        throw accessError(error, place);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Opens a file, hands it to `use` and closes it whatever happens. */
export async function withNodeFile<T>(path: string, use: (file: NodeFile) => Promise<T>): Promise<T> {
  const file = await openNodeFile(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/**
 * Reads a whole small file.
 * @throws EmuError MODEL_NOT_FOUND if it is absent, CHECKPOINT_CORRUPT if it is longer than `limitBytes`.
 */
export async function readSmallFile(path: string, limitBytes: number): Promise<Uint8Array> {
  return withNodeFile(path, async (file) => {
    if (file.size > limitBytes) {
      throw corrupt({ reader: 'weights', path }, `has ${file.size} bytes, the limit is ${limitBytes}`, {
        details: { size: file.size, limitBytes },
      });
    }
    return file.read(0, file.size);
  });
}
