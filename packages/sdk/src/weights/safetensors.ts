import { corrupt } from './checkpoint-error.js';
import { readExactly, type RandomAccess } from './random-access.js';
import { headerLimit, parseSafetensorsHeader } from './safetensors-header.js';
import type { TensorFile } from './tensor-source.js';

const openBrace = 0x7b;

/**
 * Reads the header of a safetensors file and checks it against every rule of the format; the tensor data is not
 * read. `path` names the file in entries and messages.
 * @throws EmuError CHECKPOINT_CORRUPT
 * Source: the format's description and `validate` in the reference implementation (huggingface/safetensors);
 * duplicate keys are refused as the description asks, though the reference implementation lets them pass.
 */
export async function readSafetensors(access: RandomAccess, path: string): Promise<TensorFile> {
  const place = { reader: 'safetensors', path };
  const start = await readExactly(access, 0, 8, place, 'the header length');
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(headerLimit)) {
    throw corrupt(place, `the header length is ${length}, the limit is ${headerLimit}`, {
      details: { headerLength: String(length), limit: headerLimit },
    });
  }
  const headerLength = Number(length);
  if (8 + headerLength > access.size) {
    throw corrupt(
      place,
      `the header needs ${headerLength} bytes after the first 8, the file has ${access.size - 8} (cut off?)`,
      { details: { headerLength, size: access.size } },
    );
  }
  if (headerLength < 2 || (await readExactly(access, 8, 1, place, 'the header'))[0] !== openBrace) {
    throw corrupt(place, 'the header does not begin with "{"', { details: { headerLength } });
  }
  const bytes = await readExactly(access, 8, headerLength, place, 'the header');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw corrupt(place, 'the header is not valid UTF-8', { cause: error });
  }
  const dataStart = 8 + headerLength;
  const header = parseSafetensorsHeader(text, dataStart, access.size - dataStart, place);
  return { path, format: 'safetensors', entries: header.entries, metadata: header.metadata, ignored: [] };
}
