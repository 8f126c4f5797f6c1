import { crc32 } from './crc32.js';

/* Files of torch.save built byte by byte, right or wrong on purpose. For tests only. */

const encoder = new TextEncoder();

export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return joined(parts);
}

function joined(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function u16(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff];
}

export function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(value >>> 16)];
}

export function u64(value: number | bigint): number[] {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return [...bytes];
}

/** A member of a zip file; fields beyond name and data overwrite what a correct writer would put. */
export interface Member {
  readonly name: string;
  readonly data: Uint8Array | readonly number[];
  readonly localName?: string;
  readonly method?: number;
  readonly localMethod?: number;
  readonly flags?: number;
  readonly localFlags?: number;
  readonly size?: number;
  readonly storedSize?: number;
  readonly localSize?: number;
  readonly headerOffset?: number;
  readonly checksum?: number;
  readonly extra?: readonly number[];
  readonly disk?: number;
}

/** Fields of the end records that overwrite the correct ones. */
export interface End {
  readonly count?: number;
  readonly size?: number;
  readonly offset?: number;
  readonly comment?: readonly number[];
  /** Fills the old end record with ones, so that only the zip64 one counts. */
  readonly filled?: boolean;
  readonly zip64?: Partial<{
    readonly count: number | bigint;
    readonly size: number | bigint;
    readonly offset: number | bigint;
    readonly position: number | bigint;
  }>;
}

/** Builds a zip file of stored members. */
export function zipFile(members: readonly Member[], end: End = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let at = 0;
  for (const member of members) {
    const data = Uint8Array.from(member.data);
    const checksum = member.checksum ?? crc32(data);
    const flags = member.flags ?? 0;
    const name = encoder.encode(member.name);
    const localName = encoder.encode(member.localName ?? member.name);
    const localSize = member.localSize ?? member.size ?? data.length;
    const local = concat(
      [0x50, 0x4b, 3, 4],
      [...u16(20), ...u16(member.localFlags ?? flags), ...u16(member.localMethod ?? member.method ?? 0)],
      [...u32(0), ...u32(checksum), ...u32(localSize), ...u32(localSize)],
      [...u16(localName.length), ...u16(0)],
      localName,
    );
    const size = member.size ?? data.length;
    const extra = member.extra ?? [];
    central.push(
      concat(
        [0x50, 0x4b, 1, 2],
        [...u16(20), ...u16(20), ...u16(flags), ...u16(member.method ?? 0), ...u32(0), ...u32(checksum)],
        [...u32(member.storedSize ?? size), ...u32(size), ...u16(name.length), ...u16(extra.length)],
        [...u16(0), ...u16(member.disk ?? 0), ...u16(0), ...u32(0), ...u32(member.headerOffset ?? at)],
        name,
        extra,
      ),
    );
    parts.push(local, data);
    at += local.length + data.length;
  }
  const directory = joined(central);
  const count = end.count ?? members.length;
  const size = end.size ?? directory.length;
  const offset = end.offset ?? at;
  const comment = end.comment ?? [];
  const zip64 = end.zip64
    ? concat(
        [0x50, 0x4b, 6, 6, ...u64(44), ...u16(30), ...u16(45), ...u32(0), ...u32(0)],
        [...u64(end.zip64.count ?? count), ...u64(end.zip64.count ?? count)],
        [...u64(end.zip64.size ?? size), ...u64(end.zip64.offset ?? offset)],
        [0x50, 0x4b, 6, 7, ...u32(0), ...u64(end.zip64.position ?? at + directory.length), ...u32(1)],
      )
    : [];
  return concat(
    joined(parts),
    directory,
    zip64,
    [
      0x50,
      0x4b,
      5,
      6,
      ...u16(0),
      ...u16(0),
      ...u16(end.filled ? 0xffff : count),
      ...u16(end.filled ? 0xffff : count),
    ],
    [
      ...u32(end.filled ? 0xffffffff : size),
      ...u32(end.filled ? 0xffffffff : offset),
      ...u16(comment.length),
      ...comment,
    ],
  );
}

/** Opcodes by the names of CPython's pickletools, with their arguments encoded. */
export const op = {
  proto: (version: number): number[] => [0x80, version],
  stop: [0x2e],
  mark: [0x28],
  none: [0x4e],
  true: [0x88],
  false: [0x89],
  emptyDict: [0x7d],
  emptyList: [0x5d],
  emptyTuple: [0x29],
  tuple: [0x74],
  tuple1: [0x85],
  tuple2: [0x86],
  setItem: [0x73],
  setItems: [0x75],
  append: [0x61],
  appends: [0x65],
  reduce: [0x52],
  build: [0x62],
  newObj: [0x81],
  persistentId: [0x51],
  stackGlobal: [0x93],
  text: (value: string): number[] => {
    const bytes = encoder.encode(value);
    return [0x58, ...u32(bytes.length), ...bytes];
  },
  int: (value: number): number[] => {
    if (Number.isInteger(value) && value >= 0 && value < 256) return [0x4b, value];
    if (Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31) return [0x4a, ...u32(value)];
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
    return [0x8a, 8, ...bytes];
  },
  global: (module: string, name: string): number[] => [0x63, ...encoder.encode(`${module}\n${name}\n`)],
  put: (index: number): number[] => [0x72, ...u32(index)],
  get: (index: number): number[] => [0x6a, ...u32(index)],
} as const;

/** A tensor as torch.save pickles it; absent fields are those of a contiguous one. */
export interface PickledTensor {
  readonly shape: readonly number[];
  readonly strides?: readonly number[];
  readonly offset?: number;
  readonly numel?: number;
  readonly storageType?: string;
  readonly key?: string;
}

function ints(values: readonly number[]): number[] {
  return [...op.mark, ...values.flatMap((value) => op.int(value)), ...op.tuple];
}

/** The opcodes that leave a tensor on the stack. */
export function pickledTensor(tensor: PickledTensor): number[] {
  const { shape, offset = 0, storageType = 'FloatStorage', key = '0' } = tensor;
  const count = shape.reduce((product, side) => product * side, 1);
  const strides = tensor.strides ?? shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  return [
    ...op.global('torch._utils', '_rebuild_tensor_v2'),
    ...op.mark,
    ...[...op.mark, ...op.text('storage'), ...op.global('torch', storageType), ...op.text(key)],
    ...[...op.text('cpu'), ...op.int(tensor.numel ?? count), ...op.tuple, ...op.persistentId],
    ...[...op.int(offset), ...ints(shape), ...ints(strides), ...op.false],
    ...[...op.global('collections', 'OrderedDict'), ...op.emptyTuple, ...op.reduce],
    ...[...op.tuple, ...op.reduce],
  ];
}

/** A whole pickle of the given opcodes. */
export function pickle(...body: readonly (readonly number[])[]): Uint8Array {
  return concat(op.proto(2), ...body, op.stop);
}

/** The pickle of a dict of tensors. */
export function pickledDict(tensors: Readonly<Record<string, PickledTensor>>): Uint8Array {
  const items = Object.entries(tensors).flatMap(([name, tensor]) => [
    ...op.text(name),
    ...pickledTensor(tensor),
  ]);
  return pickle(op.emptyDict, op.mark, items, op.setItems);
}

/** A file of torch.save with this pickle and these storages. */
export function torchFile(
  data: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>> = {},
  more: readonly Member[] = [],
): Uint8Array {
  return zipFile([
    { name: 'archive/data.pkl', data },
    { name: 'archive/byteorder', data: encoder.encode('little') },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, data: bytes })),
    { name: 'archive/version', data: encoder.encode('3\n') },
    ...more,
  ]);
}
