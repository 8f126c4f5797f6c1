import { corrupt, quoted, unsafe, type FilePlace } from './checkpoint-error.js';
import { crc32 } from './crc32.js';
import { pickleLimits } from './pickle-stack.js';
import {
  isDict,
  isTensor,
  kindOf,
  type PickleDict,
  type PickleTensor,
  type PickleValue,
} from './pickle-value.js';
import { readExactly, type RandomAccess } from './random-access.js';
import {
  checkedElementCount,
  isRowMajor,
  nameLimit,
  stridedSpan,
  tensorCountLimit,
  type TensorEntry,
  type TensorFile,
} from './tensor-source.js';
import { evaluateTorchPickle } from './torch-pickle.js';
import { readZipDirectory, type ZipEntry } from './zip.js';

type Members = ReadonlyMap<string, ZipEntry>;

/** TorchScript archives have data.pkl too, and compiled code beside it. */
function refuseTorchScript(names: readonly string[], place: FilePlace): void {
  const member = names.find((name) => /^[^/]+\/(constants\.pkl$|code\/)/.test(name));
  if (member === undefined) return;
  throw unsafe(place, 'is a TorchScript archive: it holds a program, not only weights', {
    hint: 'Save the weights alone: torch.save(torch.jit.load(path).state_dict(), "model.pt").',
    details: { member },
  });
}

/** Finds the one `<prefix>/data.pkl` and checks that every member lies under the same prefix. */
function findPrefix(members: Members, place: FilePlace): string {
  const pickles = [...members.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) {
    throw corrupt(
      place,
      `a file of torch.save has one <name>/data.pkl, this zip file has ${pickles.length}`,
      {
        details: { members: [...members.keys()].slice(0, 20) },
      },
    );
  }
  const prefix = pickle.slice(0, -'data.pkl'.length);
  for (const name of members.keys()) {
    if (!name.startsWith(prefix)) {
      throw corrupt(place, `member ${quoted(name)} lies outside of ${quoted(prefix)}`, {
        details: { member: name },
      });
    }
  }
  return prefix;
}

async function readMember(
  access: RandomAccess,
  entry: ZipEntry,
  limit: number,
  place: FilePlace,
): Promise<Uint8Array> {
  if (entry.size > limit) {
    throw corrupt(place, `member ${quoted(entry.name)} has ${entry.size} bytes, the limit is ${limit}`, {
      details: { member: entry.name, size: entry.size, limit },
    });
  }
  const bytes = await readExactly(access, entry.offset, entry.size, place, `member ${quoted(entry.name)}`);
  // PyTorch writes 0 when it is told not to compute checksums.
  const found = crc32(bytes);
  if (entry.crc32 !== 0 && entry.crc32 !== found) {
    throw corrupt(
      place,
      `member ${quoted(entry.name)} has the checksum ${found.toString(16)}, ${entry.crc32.toString(16)} is written`,
      { details: { member: entry.name, found, written: entry.crc32 } },
    );
  }
  return bytes;
}

/** Checks one of the small text members, where it exists. */
async function checkText(
  access: RandomAccess,
  entry: ZipEntry | undefined,
  accepted: (text: string) => boolean,
  needed: string,
  place: FilePlace,
): Promise<void> {
  if (!entry) return;
  const text = new TextDecoder().decode(await readMember(access, entry, 64, place));
  if (!accepted(text.trim())) {
    throw corrupt(place, `member ${quoted(entry.name)} says ${quoted(text)}, ${needed} is needed`, {
      details: { member: entry.name, text },
    });
  }
}

const wrapperKeys = ['module', 'state_dict', 'model_state_dict', 'model'];
const wrapperDepth = 4;

interface StateDict {
  readonly tensors: readonly (readonly [string, PickleTensor])[];
  readonly ignored: readonly string[];
}

/** A dict that has tensors, or another wrapper; `{"model": {"type": "x"}}` beside tensors is neither. */
function isWrapped(value: PickleValue | undefined): boolean {
  if (!isDict(value)) return false;
  return (
    [...value.entries.values()].some(isTensor) || wrapperKeys.some((key) => isDict(value.entries.get(key)))
  );
}

/** Follows the wrappers that training frameworks put around a state dict. */
function unwrap(
  root: PickleValue,
  ignored: string[],
  place: FilePlace,
): { dict: PickleDict; prefix: string } {
  let value = root;
  let prefix = '';
  for (let depth = 0; depth <= wrapperDepth; depth++) {
    if (!isDict(value)) throw corrupt(place, `holds a ${kindOf(value)}, a dict of tensors is needed`);
    const dict = value;
    const key = wrapperKeys.find((candidate) => isWrapped(dict.entries.get(candidate)));
    if (key === undefined) return { dict, prefix };
    for (const other of dict.entries.keys()) if (other !== key) ignored.push(prefix + keyText(other));
    value = dict.entries.get(key) ?? null;
    prefix += `${key}/`;
  }
  throw corrupt(place, `wraps its tensors in over ${wrapperDepth} dicts`);
}

function keyText(key: PickleValue): string {
  return typeof key === 'string' ? key : `(${kindOf(key)})`;
}

function findStateDict(root: PickleValue, place: FilePlace): StateDict {
  const ignored: string[] = [];
  const { dict, prefix } = unwrap(root, ignored, place);
  const tensors: (readonly [string, PickleTensor])[] = [];
  for (const [key, value] of dict.entries) {
    if (!isTensor(value)) {
      ignored.push(prefix + keyText(key));
    } else if (typeof key !== 'string' || key.length > nameLimit) {
      throw corrupt(place, `names a tensor with a ${kindOf(key)}, a str of at most ${nameLimit} is needed`);
    } else {
      tensors.push([key, value]);
    }
  }
  if (tensors.length === 0 || tensors.length > tensorCountLimit) {
    const keys = [...dict.entries.keys()].slice(0, 8).map((key) => quoted(keyText(key)));
    throw corrupt(
      place,
      `holds ${tensors.length} tensors, 1 to ${tensorCountLimit} are needed; its keys: ${keys.join(', ') || 'none'}`,
      { details: { tensors: tensors.length } },
    );
  }
  return { tensors, ignored };
}

/** Finds the member behind a tensor's storage and checks that the storage fills it exactly. */
function memberOf(
  name: string,
  { storage }: PickleTensor,
  prefix: string,
  members: Members,
  place: FilePlace,
): ZipEntry {
  const memberName = `${prefix}data/${storage.key}`;
  const member = members.get(memberName);
  const details = { tensor: name, storage: storage.key, numel: storage.numel };
  if (!member) {
    throw corrupt(place, `tensor ${quoted(name)} lies in member ${quoted(memberName)}, which is missing`, {
      details,
    });
  }
  const needed = storage.numel * storage.bytesPerElement;
  if (member.size !== needed) {
    throw corrupt(
      place,
      `tensor ${quoted(name)} lies in a ${storage.typeName} of ${storage.numel} elements, ${needed} bytes; ` +
        `its member has ${member.size}`,
      { details: { ...details, needed, size: member.size } },
    );
  }
  return member;
}

function toEntry(name: string, tensor: PickleTensor, member: ZipEntry, place: FilePlace): TensorEntry {
  const { storage, offset, shape, strides } = tensor;
  const details = { tensor: name, shape, strides, offset, numel: storage.numel };
  if (storage.dtype === undefined) {
    throw corrupt(
      place,
      `tensor ${quoted(name)} has the element type of ${storage.typeName}, not supported here`,
      {
        hint: 'Store it as float64, float32, float16, bfloat16, int64, int32, uint8 or bool.',
        details: { ...details, storageType: storage.typeName },
      },
    );
  }
  const count = checkedElementCount(shape);
  const end = offset + stridedSpan(shape, strides);
  if (count === undefined || end > storage.numel) {
    throw corrupt(
      place,
      `tensor ${quoted(name)} of shape [${shape.join(',')}], strides [${strides.join(',')}] reaches element ` +
        `${end} of a storage of ${storage.numel}`,
      { details: { ...details, end } },
    );
  }
  if (count > storage.numel) {
    throw corrupt(
      place,
      `tensor ${quoted(name)} of shape [${shape.join(',')}] repeats the ${storage.numel} elements of its storage ` +
        `${count} times over (strides [${strides.join(',')}])`,
      { details, hint: 'Call .contiguous() on expanded tensors before torch.save.' },
    );
  }
  const byteOffset = member.offset + offset * storage.bytesPerElement;
  const entry = { name, dtype: storage.dtype, shape, file: place.path, byteOffset };
  return isRowMajor(shape, strides) ? entry : { ...entry, strides };
}

/**
 * Reads where the tensors of a file written by torch.save (zip format, PyTorch 1.6 and later) lie. Nothing in the
 * file is executed; of its pickle only tensors in one dict of names are taken, also inside a wrapper
 * `{"module": ...}` or `{"state_dict": ...}`; everything else is listed in `ignored`.
 * Views of shared storages, with offsets and strides, are kept as they are. Tensors that show elements more often
 * than their storage has (`expand`) are refused: a few bytes could claim any amount of memory.
 * @throws EmuError CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE
 */
export async function readTorchZip(access: RandomAccess, path: string): Promise<TensorFile> {
  const place = { reader: 'torch', path };
  const members = await readZipDirectory(access, place, (names) => {
    refuseTorchScript(names, place);
  });
  const prefix = findPrefix(members, place);
  const member = (name: string): ZipEntry | undefined => members.get(prefix + name);
  const isLittle = (text: string): boolean => text === 'little';
  await checkText(access, member('byteorder'), isLittle, '"little"', place);
  const isKnown = (text: string): boolean => /^([1-9]|10)$/.test(text);
  await checkText(access, member('version'), isKnown, 'a version from 1 to 10', place);
  const pickle = member('data.pkl');
  if (!pickle) throw corrupt(place, 'has no data.pkl');
  const bytes = await readMember(access, pickle, pickleLimits.bytes, place);
  const { tensors, ignored } = findStateDict(evaluateTorchPickle(bytes, place), place);
  const entries = new Map<string, TensorEntry>();
  for (const [name, tensor] of tensors) {
    entries.set(name, toEntry(name, tensor, memberOf(name, tensor, prefix, members, place), place));
  }
  return { path, format: 'torch', entries, metadata: {}, ignored };
}
