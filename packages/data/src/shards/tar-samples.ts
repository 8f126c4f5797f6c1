import { createReadStream } from 'node:fs';
import { open as openFile } from 'node:fs/promises';

import { extract } from 'tar-stream';

import { DataError } from '../errors.js';

/** A sample as it lies in a shard: consecutive files with one basename, by what follows its first dot. */
export interface ShardEntry {
  readonly shard: string;
  readonly key: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const endBytes = 1024;

/** Bytes that the files of one sample may have together: a picture of 100 megapixels has less. */
const mostBytes = 256 * 1024 * 1024;

/**
 * The samples of a tar file in its order, from number `first` on; those before it are passed over unread.
 * @throws DataError MEDIA_NOT_FOUND without the file, DATA_CORRUPT where the archive is damaged or a sample too large.
 */
export async function* tarSamples(shard: string, first: number): AsyncGenerator<ShardEntry, void> {
  await checkEnd(shard).catch((error: unknown) => {
    throw shardFailure(shard, undefined, error);
  });
  const archive = extract();
  const file = createReadStream(shard);
  file.on('error', (error) => {
    archive.destroy(error);
  });
  file.pipe(archive);
  let at = -1;
  let open: { key: string; files: Map<string, Uint8Array>; bytes: number } | undefined;
  try {
    for await (const entry of archive) {
      const name = entry.header.type === 'file' ? splitName(entry.header.name) : undefined;
      if (name === undefined) {
        entry.resume();
        continue;
      }
      if (open?.key !== name.key) {
        if (open !== undefined && at >= first) yield { shard, key: open.key, files: open.files };
        open = { key: name.key, files: new Map(), bytes: 0 };
        at++;
      }
      if (at < first) {
        entry.resume();
        continue;
      }
      open.bytes += entry.header.size;
      if (open.bytes > mostBytes) throw tooLarge(shard, open.key);
      open.files.set(name.extension, await bytesOf(entry));
    }
    if (open !== undefined && at >= first) yield { shard, key: open.key, files: open.files };
  } catch (error) {
    throw shardFailure(shard, open?.key, error);
  } finally {
    file.destroy();
    archive.destroy();
  }
}

/** Two blocks of zeros end an archive. Without them it was cut off, maybe between two samples, which nothing else tells. */
async function checkEnd(shard: string): Promise<void> {
  const file = await openFile(shard);
  try {
    const { size } = await file.stat();
    const end = Buffer.alloc(endBytes, 1);
    await file.read(end, 0, endBytes, Math.max(0, size - endBytes));
    if (end.some((byte) => byte !== 0)) throw new Error('it does not end as a tar file does');
  } finally {
    await file.close();
  }
}

/** `cats/0001.seg.png` belongs to sample `cats/0001` as `seg.png`; a file that begins with a dot belongs to none. */
function splitName(path: string): { readonly key: string; readonly extension: string } | undefined {
  const start = path.lastIndexOf('/') + 1;
  const dot = path.indexOf('.', start);
  if (dot <= start) return undefined;
  return { key: path.slice(0, dot), extension: path.slice(dot + 1).toLowerCase() };
}

async function bytesOf(file: AsyncIterable<unknown>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of file) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function tooLarge(shard: string, key: string): DataError {
  return new DataError(
    'DATA_CORRUPT',
    `[shards] the files of sample ${JSON.stringify(key)} of ${shard} have more than ${mostBytes} bytes`,
    { hint: 'Store smaller pictures.', details: { shard, sample: key, limit: mostBytes } },
  );
}

function shardFailure(shard: string, key: string | undefined, error: unknown): DataError {
  if (error instanceof DataError) return error;
  const { code, message: reason } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return missingShard(shard);
  const where = key === undefined ? 'before its first sample' : `at sample ${JSON.stringify(key)}`;
  return new DataError('DATA_CORRUPT', `[shards] the shard ${shard} cannot be read ${where}: ${reason}`, {
    hint: 'Fetch or write the shard again.',
    details: { shard, ...(key !== undefined && { sample: key }), reason },
    cause: error,
  });
}

export function missingShard(shard: string): DataError {
  return new DataError('MEDIA_NOT_FOUND', `[shards] there is no shard ${shard}`, {
    hint: 'Fetch the shard, or correct the path or the range of the source.',
    details: { shard },
  });
}
