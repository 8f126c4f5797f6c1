import { corrupt, type FilePlace } from './checkpoint-error.js';

/**
 * Bytes that can be read at any position: a file on Node, a buffer in a browser. All format readers work on this,
 * so that they need no file system.
 */
export interface RandomAccess {
  /** Length in bytes when it was opened. */
  readonly size: number;
  /** At most `length` bytes from `offset`; fewer only where the bytes end. The result is not shared. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Random access over bytes in memory. */
export function bytesAccess(bytes: Uint8Array): RandomAccess {
  return {
    size: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)),
  };
}

/**
 * Reads exactly `length` bytes.
 * @throws EmuError CHECKPOINT_CORRUPT if the range leaves the file, or the file became shorter since it was opened.
 */
export async function readExactly(
  access: RandomAccess,
  offset: number,
  length: number,
  place: FilePlace,
  what: string,
): Promise<Uint8Array> {
  if (offset < 0 || length < 0 || offset + length > access.size) {
    throw corrupt(
      place,
      `${what} needs bytes ${offset} to ${offset + length}, the file has ${access.size} bytes`,
      { details: { offset, length, size: access.size } },
    );
  }
  const bytes = await access.read(offset, length);
  if (bytes.length !== length) {
    throw corrupt(place, `${what} needs ${length} bytes at ${offset}, only ${bytes.length} could be read`, {
      details: { offset, length, read: bytes.length },
      hint: 'The file changed while it was read; read it again when nothing writes to it.',
    });
  }
  return bytes;
}

/**
 * The same bytes with a read-ahead: many small reads near each other become few. For reading forward through
 * headers; the last `windowBytes` read stay in memory.
 */
export function readingAhead(access: RandomAccess, windowBytes: number): RandomAccess {
  let start = 0;
  let window: Uint8Array = new Uint8Array(0);
  return {
    size: access.size,
    read: async (offset, length) => {
      if (length > windowBytes) return access.read(offset, length);
      if (offset < start || offset + length > start + window.length) {
        window = await access.read(offset, windowBytes);
        start = offset;
      }
      return window.slice(offset - start, offset - start + length);
    },
  };
}
