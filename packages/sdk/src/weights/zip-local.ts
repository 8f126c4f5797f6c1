import { corrupt, quoted, type FilePlace } from './checkpoint-error.js';
import { readExactly, readingAhead, type RandomAccess } from './random-access.js';
import type { CentralEntry, ZipEntry } from './zip.js';

const localSignature = 0x04034b50;
const localSize = 30;
/** Headers of small members lie close together. */
const headerWindowBytes = 4096;
/** The sizes follow the data instead of standing in the local header. */
const descriptorFlag = 0x0008;

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Checks one local header against the directory and returns where the member's bytes lie. */
async function checkLocalHeader(
  access: RandomAccess,
  entry: CentralEntry,
  limit: number,
  place: FilePlace,
): Promise<ZipEntry> {
  const { name, headerOffset, size } = entry;
  const details = { member: name, headerOffset, size, limit };
  const nameEnd = headerOffset + localSize + entry.nameBytes.length;
  if (nameEnd + size > limit) {
    throw corrupt(
      place,
      `member ${quoted(name)} (${size} bytes, header at ${headerOffset}) overlaps what begins at ${limit}`,
      { details },
    );
  }
  const bytes = await readExactly(access, headerOffset, nameEnd - headerOffset, place, 'a local zip header');
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.getUint32(0, true) !== localSignature) {
    throw corrupt(place, `member ${quoted(name)} has no local header at ${headerOffset}`, { details });
  }
  if (
    data.getUint16(26, true) !== entry.nameBytes.length ||
    !sameBytes(bytes.subarray(localSize), entry.nameBytes)
  ) {
    throw corrupt(place, `the local header at ${headerOffset} has another name than member ${quoted(name)}`, {
      details,
    });
  }
  const flags = data.getUint16(6, true);
  const described = {
    method: data.getUint16(8, true) === 0,
    flags: flags === entry.flags,
    checksum: agrees(data.getUint32(14, true), entry.crc32, flags, false),
    'stored size': agrees(data.getUint32(18, true), size, flags, true),
    size: agrees(data.getUint32(22, true), size, flags, true),
  };
  const wrong = Object.entries(described).find(([, isSame]) => !isSame);
  if (wrong) {
    throw corrupt(
      place,
      `the local header of member ${quoted(name)} and the directory disagree about the ${wrong[0]}`,
      {
        details,
      },
    );
  }
  const offset = nameEnd + data.getUint16(28, true);
  if (offset + size > limit) {
    throw corrupt(
      place,
      `member ${quoted(name)} (${size} bytes at ${offset}) overlaps what begins at ${limit}`,
      { details: { ...details, offset } },
    );
  }
  return { name, offset, size, crc32: entry.crc32 };
}

/** A local field may repeat the directory, be 0 before a descriptor, or, for sizes, be moved to a zip64 field. */
function agrees(local: number, central: number, flags: number, isSize: boolean): boolean {
  return (
    local === central || ((flags & descriptorFlag) !== 0 && local === 0) || (isSize && local === 0xffffffff)
  );
}

/**
 * Checks the local header of every member. Members may not overlap each other or the directory at
 * `directoryOffset`.
 * @throws EmuError CHECKPOINT_CORRUPT
 */
export async function checkLocalHeaders(
  access: RandomAccess,
  central: readonly CentralEntry[],
  directoryOffset: number,
  place: FilePlace,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const inOrder = [...central].sort((a, b) => a.headerOffset - b.headerOffset);
  const headers = readingAhead(access, headerWindowBytes);
  const entries = new Map<string, ZipEntry>();
  for (const [index, entry] of inOrder.entries()) {
    const limit = inOrder[index + 1]?.headerOffset ?? directoryOffset;
    entries.set(entry.name, await checkLocalHeader(headers, entry, Math.min(limit, directoryOffset), place));
  }
  return entries;
}
