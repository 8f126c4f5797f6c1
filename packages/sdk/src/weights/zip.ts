import { corrupt, quoted, type FilePlace } from './checkpoint-error.js';
import { readExactly, type RandomAccess } from './random-access.js';
import { checkLocalHeaders } from './zip-local.js';

/** One stored member of a zip file. */
export interface ZipEntry {
  readonly name: string;
  /** Where the member's bytes begin in the file. */
  readonly offset: number;
  readonly size: number;
  /** CRC-32 of the bytes; 0 when the writer left it out, as PyTorch does on request. */
  readonly crc32: number;
}

/** A member as the central directory describes it. */
export interface CentralEntry {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly method: number;
  readonly size: number;
  readonly storedSize: number;
  readonly crc32: number;
  readonly headerOffset: number;
}

const endSignature = 0x06054b50;
const endSize = 22;
const zip64LocatorSignature = 0x07064b50;
const zip64LocatorSize = 20;
const zip64EndSignature = 0x06064b50;
const zip64EndSize = 56;
const centralSignature = 0x02014b50;
const centralSize = 46;
const longestComment = 0xffff;
const entryLimit = 1 << 17;
const directoryLimit = 1 << 26;

/** Encrypted members, strong encryption, patches and masked headers. */
const refusedFlags = 0x0001 | 0x0020 | 0x0040 | 0x2000;
const utf8Flag = 0x0800;

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A 64-bit field as a number; what is beyond 2^53-1 stays beyond every file and fails the range checks. */
export function readUint64(data: DataView, offset: number): number {
  return Number(data.getBigUint64(offset, true));
}

/** Finds the end record: the last signature whose comment ends exactly with the file. */
async function findEnd(
  access: RandomAccess,
  place: FilePlace,
): Promise<{ position: number; record: DataView }> {
  const tailLength = Math.min(access.size, endSize + longestComment);
  const tailStart = access.size - tailLength;
  const tail = view(await readExactly(access, tailStart, tailLength, place, 'the end of the zip file'));
  for (let at = tailLength - endSize; at >= 0; at--) {
    if (tail.getUint32(at, true) !== endSignature) continue;
    if (at + endSize + tail.getUint16(at + 20, true) !== tailLength) continue;
    return {
      position: tailStart + at,
      record: new DataView(tail.buffer, tail.byteOffset + at, endSize),
    };
  }
  throw corrupt(place, 'has no zip end record (cut off?)', { details: { size: access.size } });
}

async function readZip64End(
  access: RandomAccess,
  endPosition: number,
  place: FilePlace,
): Promise<(Directory & { readonly position: number }) | undefined> {
  const locatorPosition = endPosition - zip64LocatorSize;
  if (locatorPosition < 0) return undefined;
  const locator = view(
    await readExactly(access, locatorPosition, zip64LocatorSize, place, 'the zip64 locator'),
  );
  if (locator.getUint32(0, true) !== zip64LocatorSignature) return undefined;
  const position = readUint64(locator, 8);
  if (locator.getUint32(4, true) !== 0 || locator.getUint32(16, true) > 1) {
    throw corrupt(place, 'is a zip file in several parts, which is not supported');
  }
  if (position + zip64EndSize > locatorPosition) {
    throw corrupt(
      place,
      `its zip64 locator points to ${position}, the locator itself is at ${locatorPosition}`,
    );
  }
  const end = view(await readExactly(access, position, zip64EndSize, place, 'the zip64 end record'));
  if (end.getUint32(0, true) !== zip64EndSignature) {
    throw corrupt(place, `has no zip64 end record at ${position}, where its locator points`);
  }
  if (position + 12 + readUint64(end, 4) !== locatorPosition) {
    throw corrupt(place, 'the length of its zip64 end record does not reach the locator');
  }
  const [here, total] = [readUint64(end, 24), readUint64(end, 32)];
  if (here !== total || end.getUint32(16, true) !== 0 || end.getUint32(20, true) !== 0) {
    throw corrupt(place, 'is a zip file in several parts, which is not supported');
  }
  return { position, count: total, size: readUint64(end, 40), offset: readUint64(end, 48) };
}

/** The field of the old end record, which must repeat the zip64 one or be filled with ones. */
function agree(old: number, filler: number, zip64: number, what: string, place: FilePlace): void {
  if (old !== filler && old !== zip64) {
    throw corrupt(place, `its two end records disagree about the ${what}: ${old} and ${zip64}`, {
      details: { what, end: old, zip64 },
    });
  }
}

async function findDirectory(access: RandomAccess, place: FilePlace): Promise<Directory> {
  const { position, record } = await findEnd(access, place);
  if (
    record.getUint16(4, true) !== record.getUint16(6, true) ||
    ![0, 0xffff].includes(record.getUint16(4, true))
  ) {
    throw corrupt(place, 'is a zip file in several parts, which is not supported');
  }
  const [here, count] = [record.getUint16(8, true), record.getUint16(10, true)];
  const [size, offset] = [record.getUint32(12, true), record.getUint32(16, true)];
  const zip64 = await readZip64End(access, position, place);
  if (zip64) {
    agree(count, 0xffff, zip64.count, 'number of members', place);
    agree(here, 0xffff, zip64.count, 'number of members', place);
    agree(size, 0xffffffff, zip64.size, 'size of the directory', place);
    agree(offset, 0xffffffff, zip64.offset, 'position of the directory', place);
  } else if (here !== count) {
    throw corrupt(place, 'is a zip file in several parts, which is not supported');
  }
  const directory = zip64 ?? { count, size, offset };
  const directoryEnd = zip64?.position ?? position;
  if (directory.offset + directory.size !== directoryEnd) {
    throw corrupt(
      place,
      `its directory (${directory.size} bytes at ${directory.offset}) does not end at the end record, ${directoryEnd}`,
      { details: { ...directory, end: directoryEnd } },
    );
  }
  if (directory.count > entryLimit || directory.size > directoryLimit) {
    throw corrupt(
      place,
      `its directory has ${directory.count} members in ${directory.size} bytes, ` +
        `the limits are ${entryLimit} and ${directoryLimit}`,
      { details: { ...directory } },
    );
  }
  if (directory.count * centralSize > directory.size) {
    throw corrupt(place, `its directory of ${directory.size} bytes cannot hold ${directory.count} members`);
  }
  return directory;
}

/** The zip64 values of an extra field, in the order of the fields that are filled with ones. */
function zip64Values(extra: DataView, wanted: number, name: string, place: FilePlace): number[] {
  let at = 0;
  const values: number[] = [];
  while (at + 4 <= extra.byteLength) {
    const [id, length] = [extra.getUint16(at, true), extra.getUint16(at + 2, true)];
    if (at + 4 + length > extra.byteLength) break;
    if (id === 0x0001) {
      for (let i = 0; i < wanted && (i + 1) * 8 <= length; i++)
        values.push(readUint64(extra, at + 4 + i * 8));
      break;
    }
    at += 4 + length;
  }
  if (values.length < wanted) {
    throw corrupt(place, `member ${quoted(name)} lacks its zip64 sizes`, { details: { member: name } });
  }
  return values;
}

function decodeName(bytes: Uint8Array, flags: number, place: FilePlace): string {
  let name: string;
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw corrupt(place, 'a member name is not valid UTF-8', { cause: error });
  }
  const isAscii = bytes.every((byte) => byte < 0x80);
  if ((!isAscii && !(flags & utf8Flag)) || name === '' || /[\0\\]/.test(name)) {
    throw corrupt(place, `the member name ${quoted(name)} is empty or has characters that are not allowed`);
  }
  const parts = name.replace(/\/$/, '').split('/');
  if (parts.some((part) => part === '' || part === '..')) {
    throw corrupt(place, `the member name ${quoted(name)} leads out of the archive`, {
      details: { member: name },
    });
  }
  return name;
}

function parseCentral(
  bytes: Uint8Array,
  at: number,
  place: FilePlace,
): { entry: CentralEntry; next: number } {
  const data = view(bytes);
  if (at + centralSize > bytes.length || data.getUint32(at, true) !== centralSignature) {
    throw corrupt(place, `its directory has no member record at ${at}`, { details: { at } });
  }
  const nameEnd = at + centralSize + data.getUint16(at + 28, true);
  const extraEnd = nameEnd + data.getUint16(at + 30, true);
  const next = extraEnd + data.getUint16(at + 32, true);
  if (next > bytes.length) throw corrupt(place, 'a member record leaves the directory', { details: { at } });
  const flags = data.getUint16(at + 8, true);
  const nameBytes = bytes.subarray(at + centralSize, nameEnd);
  const name = decodeName(nameBytes, flags, place);
  const details = { member: name };
  if (flags & refusedFlags) throw corrupt(place, `member ${quoted(name)} is encrypted`, { details });
  if (![0, 0xffff].includes(data.getUint16(at + 34, true))) {
    throw corrupt(place, 'is a zip file in several parts, which is not supported', { details });
  }
  // Zip64 values stand in this order, each only when its 32-bit field is filled with ones.
  const fields = [
    data.getUint32(at + 24, true),
    data.getUint32(at + 20, true),
    data.getUint32(at + 42, true),
  ];
  const wanted = fields.filter((field) => field === 0xffffffff).length;
  const long = zip64Values(
    new DataView(bytes.buffer, bytes.byteOffset + nameEnd, extraEnd - nameEnd),
    wanted,
    name,
    place,
  );
  const [size = 0, storedSize = 0, headerOffset = 0] = fields.map((field) =>
    field === 0xffffffff ? (long.shift() ?? 0) : field,
  );
  return {
    entry: {
      name,
      nameBytes,
      flags,
      method: data.getUint16(at + 10, true),
      size,
      storedSize,
      crc32: data.getUint32(at + 16, true),
      headerOffset,
    },
    next,
  };
}

function requireStored(entry: CentralEntry, place: FilePlace): void {
  const { name, method, size, storedSize } = entry;
  if (method !== 0) {
    throw corrupt(
      place,
      `member ${quoted(name)} is compressed (method ${method}), only stored members are read`,
      {
        details: { member: name, method },
        hint: 'torch.save never compresses; write the file again with it.',
      },
    );
  }
  if (size !== storedSize) {
    throw corrupt(
      place,
      `member ${quoted(name)} is stored, yet its two sizes are ${size} and ${storedSize}`,
      {
        details: { member: name, size, storedSize },
      },
    );
  }
}

/**
 * Reads the directory of a zip file whose members are all stored, and checks it against the local headers: no
 * member may be compressed, encrypted, named twice, described in two ways, overlap another or leave the file.
 * At most 131,072 members. `checkNames` sees all names before any member is looked at.
 * @throws EmuError CHECKPOINT_CORRUPT
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
 */
export async function readZipDirectory(
  access: RandomAccess,
  place: FilePlace,
  checkNames: (names: readonly string[]) => void = () => undefined,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const directory = await findDirectory(access, place);
  const bytes = await readExactly(access, directory.offset, directory.size, place, 'the zip directory');
  const central = new Map<string, CentralEntry>();
  let at = 0;
  for (let index = 0; index < directory.count; index++) {
    const { entry, next } = parseCentral(bytes, at, place);
    if (central.has(entry.name)) {
      throw corrupt(place, `member ${quoted(entry.name)} stands twice in the zip directory`, {
        details: { member: entry.name },
      });
    }
    central.set(entry.name, entry);
    at = next;
  }
  if (at !== bytes.length) {
    throw corrupt(place, `its zip directory has ${bytes.length - at} bytes after the last member`);
  }
  checkNames([...central.keys()]);
  for (const entry of central.values()) requireStored(entry, place);
  return checkLocalHeaders(access, [...central.values()], directory.offset, place);
}
