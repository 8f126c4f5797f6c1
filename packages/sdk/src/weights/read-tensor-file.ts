import { corrupt, unsafe } from './checkpoint-error.js';
import type { RandomAccess } from './random-access.js';
import { readSafetensors } from './safetensors.js';
import type { TensorFile } from './tensor-source.js';
import { readTorchZip } from './torch-zip.js';

const sniffedBytes = 64;

/** The first number of the pickles that torch.save wrote before PyTorch 1.6, after PROTO 2 and LONG1 10. */
const legacyTorchMagic = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

function startsWith(bytes: Uint8Array, prefix: readonly number[] | string, at = 0): boolean {
  const expected = typeof prefix === 'string' ? new TextEncoder().encode(prefix) : prefix;
  return bytes.length >= at + expected.length && [...expected].every((byte, i) => bytes[at + i] === byte);
}

/**
 * Reads where the tensors of a checkpoint file lie, whatever its name: the first bytes decide the format.
 * `path` names the file in entries and messages.
 * @throws EmuError CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE
 */
export async function readTensorFile(access: RandomAccess, path: string): Promise<TensorFile> {
  const place = { reader: 'weights', path };
  const head = await access.read(0, sniffedBytes);
  if (startsWith(head, 'PK\u0003\u0004') || startsWith(head, 'PK\u0005\u0006'))
    return readTorchZip(access, path);
  if (startsWith(head, '{', 8)) return readSafetensors(access, path);
  if (startsWith(head, legacyTorchMagic)) {
    throw unsafe(
      place,
      'is a legacy file of torch.save from before PyTorch 1.6, only its zip format is read',
      {
        hint: 'Load it with torch.load(path, weights_only=True) and save it again, or write safetensors.',
      },
    );
  }
  if (head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5) {
    throw unsafe(place, 'is a bare pickle, which can hold any program');
  }
  if (startsWith(head, 'GGUF')) {
    throw corrupt(place, 'is a GGUF file; safetensors and PyTorch zip files are read here');
  }
  if (startsWith(head, 'version https://git-lfs')) {
    throw corrupt(place, 'is a pointer of Git LFS, the weights themselves were not fetched', {
      hint: 'Run `git lfs pull` in the folder of the model.',
    });
  }
  if (head.length < 8) throw corrupt(place, `has ${access.size} bytes, too few for any checkpoint`);
  if (access.size > 8) {
    const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
    // A plausible header length: let the safetensors reader say what is wrong with the header.
    if (length > 0n && length <= BigInt(access.size)) return readSafetensors(access, path);
  }
  const shown = [...head.slice(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw corrupt(place, `is neither safetensors nor a zip file of torch.save; it begins with ${shown}`, {
    details: { head: shown },
  });
}
