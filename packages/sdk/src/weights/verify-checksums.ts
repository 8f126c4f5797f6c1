import { corrupt, quoted } from './checkpoint-error.js';
import { crc32 } from './crc32.js';
import { readExactly, type RandomAccess } from './random-access.js';
import { readZipDirectory } from './zip.js';

export interface ChecksumOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes checked so far and those of all members. */
  readonly onProgress?: (completed: number, total: number) => void;
}

/** How many members of a file were compared with their checksums. */
export interface ChecksumResult {
  readonly checked: number;
  /** Members whose writer left the checksum out. */
  readonly unchecked: number;
}

const chunkBytes = 1 << 24;

/**
 * Reads every member of a file of torch.save and compares it with the CRC-32 in the file, which opening does not
 * do. safetensors files have no checksums.
 * @throws EmuError CHECKPOINT_CORRUPT naming all damaged members.
 */
export async function verifyTorchChecksums(
  access: RandomAccess,
  path: string,
  options: ChecksumOptions = {},
): Promise<ChecksumResult> {
  const { signal, onProgress } = options;
  const place = { reader: 'torch', path };
  const members = [...(await readZipDirectory(access, place)).values()];
  const total = members.reduce((sum, { size }) => sum + size, 0);
  const damaged: string[] = [];
  let completed = 0;
  let unchecked = 0;
  for (const { name, offset, size, crc32: written } of members) {
    if (written === 0 && size > 0) unchecked++;
    let found = 0;
    for (let done = 0; done < size; done += chunkBytes) {
      signal?.throwIfAborted();
      const length = Math.min(chunkBytes, size - done);
      found = crc32(await readExactly(access, offset + done, length, place, `member ${quoted(name)}`), found);
      completed += length;
      onProgress?.(completed, total);
    }
    if (written !== 0 && found !== written) damaged.push(name);
  }
  if (damaged.length > 0) {
    throw corrupt(
      place,
      `${damaged.length} of ${members.length} members do not have the checksum written for them: ` +
        damaged.slice(0, 5).map(quoted).join(', '),
      { hint: 'The file was damaged after it was written; fetch it again.', details: { damaged } },
    );
  }
  return { checked: members.length - unchecked, unchecked };
}
