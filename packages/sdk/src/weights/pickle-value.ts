import type { DType } from '@emu/program';

/** Immutable sequence of a pickle. */
export interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly PickleValue[];
}

export interface PickleList {
  readonly kind: 'list';
  readonly items: PickleValue[];
}

/** dict and collections.OrderedDict. Keys that are objects are compared by identity. */
export interface PickleDict {
  readonly kind: 'dict';
  readonly entries: Map<PickleValue, PickleValue>;
}

export interface PickleSet {
  readonly kind: 'set';
  readonly items: Set<PickleValue>;
}

/** What an allowed name stands for. It is a mark and nothing that could be called. */
export type GlobalRole =
  | { readonly role: 'ordered-dict' }
  | { readonly role: 'rebuild-tensor' }
  | { readonly role: 'rebuild-parameter' }
  | { readonly role: 'size' }
  | { readonly role: 'dtype' }
  /** `dtype` is absent for element types that our programs do not have. */
  | { readonly role: 'storage'; readonly typeName: string; readonly bytes: number; readonly dtype?: DType };

/** A name of the allow-list, met in a pickle. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly name: string;
  readonly meaning: GlobalRole;
}

/** A storage: a run of elements in a member of the archive. */
export interface PickleStorage {
  readonly kind: 'storage';
  readonly key: string;
  readonly typeName: string;
  readonly dtype: DType | undefined;
  readonly bytesPerElement: number;
  readonly numel: number;
}

/** A tensor as a view of a storage; the numbers are integers >= 0, their ranges are not yet checked. */
export interface PickleTensor {
  readonly kind: 'tensor';
  readonly storage: PickleStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Everything a pickle of a checkpoint can evaluate to: data, never a function. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleTuple
  | PickleList
  | PickleDict
  | PickleSet
  | PickleGlobal
  | PickleStorage
  | PickleTensor;

type PickleObject = Exclude<PickleValue, null | boolean | number | bigint | string | Uint8Array>;

function isObject(value: PickleValue): value is PickleObject {
  return typeof value === 'object' && value !== null && 'kind' in value;
}

export function isTuple(value: PickleValue | undefined): value is PickleTuple {
  return value !== undefined && isObject(value) && value.kind === 'tuple';
}

export function isList(value: PickleValue | undefined): value is PickleList {
  return value !== undefined && isObject(value) && value.kind === 'list';
}

export function isDict(value: PickleValue | undefined): value is PickleDict {
  return value !== undefined && isObject(value) && value.kind === 'dict';
}

export function isSet(value: PickleValue | undefined): value is PickleSet {
  return value !== undefined && isObject(value) && value.kind === 'set';
}

export function isGlobal(value: PickleValue | undefined): value is PickleGlobal {
  return value !== undefined && isObject(value) && value.kind === 'global';
}

export function isStorage(value: PickleValue | undefined): value is PickleStorage {
  return value !== undefined && isObject(value) && value.kind === 'storage';
}

export function isTensor(value: PickleValue | undefined): value is PickleTensor {
  return value !== undefined && isObject(value) && value.kind === 'tensor';
}

/** The kind of a value, for messages: `dict`, `str`, `tensor`, ... */
export function kindOf(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (isObject(value)) return value.kind === 'global' ? value.name : value.kind;
  if (value instanceof Uint8Array) return 'bytes';
  const names = { boolean: 'bool', number: 'number', bigint: 'number', string: 'str' } as const;
  return names[typeof value as keyof typeof names];
}
