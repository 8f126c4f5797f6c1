import { bytesPerElement, elementCount, type DType } from '@emu/program';

import { corrupt, quoted, type FilePlace } from './checkpoint-error.js';
import { JsonCursor, JsonProblem } from './json-cursor.js';
import {
  checkedElementCount,
  nameLimit,
  rankLimit,
  tensorCountLimit,
  type TensorEntry,
} from './tensor-source.js';

/** Longest header the format allows, in bytes. */
export const headerLimit = 100_000_000;

const supportedTypes: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['F64', 'f64'],
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['I64', 'i64'],
  ['I32', 'i32'],
  ['U8', 'u8'],
  ['BOOL', 'bool'],
]);

/** Bits per element of the types that the format knows and our programs do not. */
const unsupportedTypes: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F8_E4M3', 8],
  ['F8_E5M2', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I8', 8],
  ['I16', 16],
  ['U16', 16],
  ['U32', 32],
  ['U64', 64],
  ['C64', 64],
]);

/** The format's name of one of our types. */
export function safetensorsTypeName(dtype: DType): string {
  return dtype.toUpperCase();
}

interface HeaderTensor {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

interface Header {
  readonly tensors: readonly HeaderTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

function parseTensor(cursor: JsonCursor, name: string): HeaderTensor {
  let type: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  cursor.object((key) => {
    if (key === 'dtype') {
      type = cursor.string();
    } else if (key === 'shape') {
      const sides: number[] = [];
      cursor.array((axis) => {
        if (axis >= rankLimit) throw new JsonProblem(`tensor ${quoted(name)} has over ${rankLimit} axes`);
        sides.push(cursor.count());
      });
      shape = sides;
    } else if (key === 'data_offsets') {
      const ends: number[] = [];
      cursor.array((index) => {
        if (index >= 2) throw new JsonProblem(`data_offsets of ${quoted(name)} has over 2 numbers`);
        ends.push(cursor.count());
      });
      offsets = ends;
    } else {
      // The reference implementation reads past keys it does not know, so files with them exist.
      cursor.skip();
    }
  });
  const [begin, end] = offsets ?? [];
  if (type === undefined || shape === undefined || begin === undefined || end === undefined) {
    throw new JsonProblem(`tensor ${quoted(name)} needs dtype, shape and two data_offsets`);
  }
  return { name, type, shape, begin, end };
}

function parseHeader(text: string): Header {
  const cursor = new JsonCursor(text);
  const tensors: HeaderTensor[] = [];
  const metadata: [string, string][] = [];
  cursor.object((name) => {
    if (name === '__metadata__') {
      cursor.object((key) => metadata.push([key, cursor.string()]));
      return;
    }
    if (tensors.length >= tensorCountLimit) {
      throw new JsonProblem(`the file has over ${tensorCountLimit} tensors`);
    }
    if (name.length > nameLimit) {
      throw new JsonProblem(`the tensor name ${quoted(name)} is longer than ${nameLimit}`);
    }
    tensors.push(parseTensor(cursor, name));
  });
  cursor.end();
  return { tensors, metadata: Object.fromEntries(metadata) };
}

/** Bytes a tensor of this header takes. */
function sizeOf({ name, type, shape }: HeaderTensor, place: FilePlace): number {
  const dtype = supportedTypes.get(type);
  const bits = dtype === undefined ? unsupportedTypes.get(type) : bytesPerElement[dtype] * 8;
  if (bits === undefined) {
    throw corrupt(place, `tensor ${quoted(name)} has the unknown dtype ${quoted(type)}`, {
      details: { tensor: name, dtype: type, known: [...supportedTypes.keys(), ...unsupportedTypes.keys()] },
    });
  }
  const count = checkedElementCount(shape);
  if (count === undefined || !Number.isSafeInteger(count * bits)) {
    throw corrupt(
      place,
      `tensor ${quoted(name)} of shape [${shape.join(',')}] has more bytes than 2^53 bits`,
      {
        details: { tensor: name, shape },
      },
    );
  }
  if ((count * bits) % 8 !== 0) {
    throw corrupt(
      place,
      `tensor ${quoted(name)} (${type}, [${shape.join(',')}]) does not end on a whole byte`,
      {
        details: { tensor: name, dtype: type, shape },
      },
    );
  }
  return (count * bits) / 8;
}

/** Checks that the tensors cover the data exactly: every one of its own size, no overlap, no hole, no rest. */
function checkCoverage(tensors: readonly HeaderTensor[], dataBytes: number, place: FilePlace): void {
  const inOrder = [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const tensor of inOrder) {
    const { name, shape, type, begin, end } = tensor;
    const size = sizeOf(tensor, place);
    const details = { tensor: name, begin, end, size, covered, dataBytes };
    if (end < begin) {
      throw corrupt(place, `tensor ${quoted(name)} begins at ${begin} and ends before, at ${end}`, {
        details,
      });
    }
    if (end - begin !== size) {
      throw corrupt(
        place,
        `tensor ${quoted(name)} (${type}, [${shape.join(',')}]) needs ${size} bytes, its data_offsets ` +
          `[${begin},${end}] hold ${end - begin}`,
        { details },
      );
    }
    if (begin !== covered) {
      const relation = begin < covered ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw corrupt(
        place,
        `tensor ${quoted(name)} ${relation}: it begins at ${begin}, ${covered} is needed`,
        { details },
      );
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw corrupt(
      place,
      `the tensors take ${covered} bytes after the header, the file has ${dataBytes} there` +
        (covered > dataBytes ? ' (cut off?)' : ' (bytes that belong to no tensor)'),
      { details: { covered, dataBytes } },
    );
  }
}

function toEntry(tensor: HeaderTensor, file: string, dataStart: number, place: FilePlace): TensorEntry {
  const { name, type, shape, begin } = tensor;
  const dtype = supportedTypes.get(type);
  if (dtype === undefined) {
    throw corrupt(place, `tensor ${quoted(name)} has dtype ${type}, which is valid but not supported here`, {
      hint: `Store it as one of ${[...supportedTypes.keys()].join(', ')}.`,
      details: { tensor: name, dtype: type, supported: [...supportedTypes.keys()] },
    });
  }
  return { name, dtype, shape, file, byteOffset: dataStart + begin };
}

/** What the header of a safetensors file says, checked against every rule of the format. */
export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Parses the header text. `dataStart` is where the tensor data begins in the file, `dataBytes` how long it is.
 * @throws EmuError CHECKPOINT_CORRUPT naming the tensor and the rule.
 */
export function parseSafetensorsHeader(
  text: string,
  dataStart: number,
  dataBytes: number,
  place: FilePlace,
): SafetensorsHeader {
  let header: Header;
  try {
    header = parseHeader(text);
  } catch (error) {
    if (error instanceof JsonProblem) {
      throw corrupt(place, `the header is not valid: ${error.message}`, {
        details: { position: error.position },
        cause: error,
      });
    }
    throw error;
  }
  checkCoverage(header.tensors, dataBytes, place);
  const entries = new Map<string, TensorEntry>();
  for (const tensor of header.tensors) {
    entries.set(tensor.name, toEntry(tensor, place.path, dataStart, place));
  }
  return { entries, metadata: header.metadata };
}

/** One tensor of a header to be written. */
export interface LaidOutTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/**
 * Writes a header for tensors that lie one after the other in the given order, with its length field, padded with
 * spaces so that the data begins at a multiple of 8.
 */
export function formatSafetensorsHeader(
  tensors: readonly LaidOutTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const parts: string[] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) {
    const pairs = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`);
    parts.push(`"__metadata__":{${pairs.join(',')}}`);
  }
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = offset + elementCount(shape) * bytesPerElement[dtype];
    parts.push(
      `${JSON.stringify(name)}:{"dtype":"${safetensorsTypeName(dtype)}","shape":[${shape.join(',')}],` +
        `"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const text = new TextEncoder().encode(`{${parts.join(',')}}`);
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}
