import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { EmuErrorCode } from '@emu/program';
import { EmuError } from '@emu/program';

import type { DecodeOptions } from './decode-node.js';
import { decodeImage } from './decode-node.js';
import { checkedLimits } from './limits.js';
import type { ImageMedia, MediaSource } from './media.js';
import type { Pixels } from './pixels.js';

/** What to call a file that is over the limit or is no file. */
export interface ReadBounds {
  readonly maxBytes: number;
  readonly tooLarge: EmuErrorCode;
  readonly invalid: EmuErrorCode;
}

function sizeError(place: string, size: number, { maxBytes, tooLarge }: ReadBounds): EmuError {
  return new EmuError(tooLarge, `[media] ${place} has ${size} bytes, at most ${maxBytes} are accepted`, {
    details: { place, size, maxBytes },
  });
}

/** The path a source names. @throws EmuError for a `file:` URL that names no path here. */
export function sourcePath(
  source: MediaSource & { kind: 'path' | 'file-url' },
  invalid: EmuErrorCode,
): string {
  if (source.kind === 'path') return source.path;
  try {
    return fileURLToPath(source.url);
  } catch (cause) {
    throw new EmuError(invalid, `[media] ${source.url} names no file: ${String(cause)}`, {
      cause,
      details: { url: source.url },
    });
  }
}

// Windows has no such flag, nor such pipes.
const nonBlocking = 'O_NONBLOCK' in constants ? constants.O_NONBLOCK : 0;

/** Opens a regular file; never waits on a pipe or device. */
export async function openRegularFile(path: string, invalid: EmuErrorCode): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | nonBlocking);
  } catch (cause) {
    throw new EmuError('MEDIA_NOT_FOUND', `[media] ${path} cannot be opened: ${String(cause)}`, {
      hint: 'Check the path and the permissions.',
      cause,
      details: { path },
    });
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new EmuError(invalid, `[media] ${path} is not a regular file`, { details: { path } });
}

async function readBoundedFile(path: string, bounds: ReadBounds): Promise<Uint8Array> {
  const handle = await openRegularFile(path, bounds.invalid);
  try {
    const { size } = await handle.stat();
    if (size > bounds.maxBytes) throw sizeError(path, size, bounds);
    // Exactly what was there at the start: a file that grows meanwhile cannot go over the limit.
    const bytes = new Uint8Array(size);
    let length = 0;
    while (length < size) {
      const { bytesRead } = await handle.read(bytes, length, size - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } finally {
    await handle.close();
  }
}

/**
 * The bytes of a source; paths are read here and nowhere earlier.
 * @throws EmuError MEDIA_NOT_FOUND, or the codes of `bounds`.
 */
export async function readMediaBytes(source: MediaSource, bounds: ReadBounds): Promise<Uint8Array> {
  switch (source.kind) {
    case 'bytes':
      return source.bytes;
    case 'blob':
      if (source.blob.size > bounds.maxBytes) throw sizeError('the Blob', source.blob.size, bounds);
      return new Uint8Array(await source.blob.arrayBuffer());
    case 'path':
    case 'file-url':
      return readBoundedFile(sourcePath(source, bounds.invalid), bounds);
  }
}

/**
 * The picture of an `image()`: read, decoded and checked. -> [H,W,3] u8.
 * @throws EmuError as `decodeImage`, and MEDIA_NOT_FOUND for a path that cannot be opened.
 */
export async function readImage(media: ImageMedia, options: DecodeOptions = {}): Promise<Pixels> {
  options.signal?.throwIfAborted();
  if (media.source.kind === 'pixels') return media.source.pixels;
  const { maxBytes } = checkedLimits(options);
  const bytes = await readMediaBytes(media.source, {
    maxBytes,
    tooLarge: 'IMAGE_TOO_LARGE',
    invalid: 'INVALID_IMAGE',
  });
  return decodeImage(bytes, options);
}
