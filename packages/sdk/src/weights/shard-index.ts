import { dirname, join } from 'node:path';

import { corrupt, notFound, quoted, type FilePlace } from './checkpoint-error.js';
import { JsonCursor, JsonProblem } from './json-cursor.js';
import { readSmallFile, statOrUndefined } from './node-file.js';
import { tensorCountLimit, type TensorEntry, type TensorFile } from './tensor-source.js';

const indexLimitBytes = 1 << 26;
const shardLimit = 4096;
const nestedIndex = /\.index\.json$/;

interface ShardIndex {
  /** Shard name by tensor name. */
  readonly weightMap: ReadonlyMap<string, string>;
}

function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\\\0]/.test(name) && !nestedIndex.test(name);
}

/**
 * Parses `model.safetensors.index.json`. Shards must be plain names: they lie beside the index.
 * @throws EmuError CHECKPOINT_CORRUPT
 */
export function parseShardIndex(bytes: Uint8Array, place: FilePlace): ShardIndex {
  const weightMap = new Map<string, string>();
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const cursor = new JsonCursor(text);
    cursor.object((key) => {
      if (key !== 'weight_map') {
        cursor.skip();
        return;
      }
      cursor.object((tensor) => {
        if (weightMap.size >= tensorCountLimit) {
          throw new JsonProblem(`the index has over ${tensorCountLimit} tensors`);
        }
        weightMap.set(tensor, cursor.string());
      });
    });
    cursor.end();
  } catch (error) {
    const problem = error instanceof JsonProblem ? error.message : 'it is not valid UTF-8';
    throw corrupt(place, `the index is not valid: ${problem}`, { cause: error });
  }
  if (weightMap.size === 0) throw corrupt(place, 'the index needs a weight_map with tensors');
  for (const [tensor, shard] of weightMap) {
    if (!isPlainName(shard)) {
      throw corrupt(place, `tensor ${quoted(tensor)} lies in ${quoted(shard)}, a plain file name is needed`, {
        details: { tensor, shard },
      });
    }
  }
  return { weightMap };
}

/**
 * Opens a sharded checkpoint by its index. Tensors that a shard has and the index does not name are not used.
 * @throws EmuError MODEL_NOT_FOUND naming all missing shards, CHECKPOINT_CORRUPT naming the tensors that are not
 * in their shard; what `openShard` throws.
 */
export async function openShardIndex(
  path: string,
  openShard: (path: string) => Promise<TensorFile>,
): Promise<TensorFile> {
  const place = { reader: 'shards', path };
  const { weightMap } = parseShardIndex(await readSmallFile(path, indexLimitBytes), place);
  const names = [...new Set(weightMap.values())].sort();
  if (names.length > shardLimit) {
    throw corrupt(place, `the index names ${names.length} shards, the limit is ${shardLimit}`);
  }
  const missing: string[] = [];
  for (const name of names) {
    if (!(await statOrUndefined(join(dirname(path), name)))) missing.push(name);
  }
  if (missing.length > 0) {
    throw notFound(
      place,
      `${missing.length} of ${names.length} shards are missing: ${missing.slice(0, 5).join(', ')}`,
      {
        details: { missing },
      },
    );
  }
  const shards = new Map<string, TensorFile>();
  for (const name of names) shards.set(name, await openShard(join(dirname(path), name)));
  const entries = new Map<string, TensorEntry>();
  const absent: string[] = [];
  for (const [tensor, shard] of weightMap) {
    const entry = shards.get(shard)?.entries.get(tensor);
    if (entry) entries.set(tensor, entry);
    else absent.push(`${tensor} (${shard})`);
  }
  if (absent.length > 0) {
    throw corrupt(
      place,
      `${absent.length} tensors are not in the shard the index names: ${absent.slice(0, 5).map(quoted).join(', ')}`,
      { details: { absent } },
    );
  }
  const first = shards.get(names[0] ?? '');
  return {
    path,
    format: first?.format ?? 'safetensors',
    entries,
    metadata: first?.metadata ?? {},
    ignored: names.flatMap((name) => [...(shards.get(name)?.ignored ?? [])]),
  };
}
