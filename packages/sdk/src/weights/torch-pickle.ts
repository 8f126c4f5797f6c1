import type { DType } from '@emu/program';

import { corrupt, quoted, unsafe, type FilePlace } from './checkpoint-error.js';
import { evaluatePickle, type PickleMeaning } from './pickle-machine.js';
import {
  isDict,
  isGlobal,
  isList,
  isStorage,
  isTensor,
  isTuple,
  kindOf,
  type GlobalRole,
  type PickleStorage,
  type PickleTensor,
  type PickleValue,
} from './pickle-value.js';
import { rankLimit } from './tensor-source.js';

function storage(typeName: string, bytes: number, dtype?: DType): [string, GlobalRole] {
  const role: GlobalRole = { role: 'storage', typeName, bytes, ...(dtype === undefined ? {} : { dtype }) };
  return [`torch ${typeName}`, role];
}

function dtypeName(name: string): [string, GlobalRole] {
  return [`torch ${name}`, { role: 'dtype' }];
}

/** The only names a checkpoint may use, as `module name`. Names are data here: none leads to code. */
const allowedGlobals: ReadonlyMap<string, GlobalRole> = new Map<string, GlobalRole>([
  ['collections OrderedDict', { role: 'ordered-dict' }],
  ['torch._utils _rebuild_tensor', { role: 'rebuild-tensor' }],
  ['torch._utils _rebuild_tensor_v2', { role: 'rebuild-tensor' }],
  ['torch._utils _rebuild_parameter', { role: 'rebuild-parameter' }],
  ['torch Size', { role: 'size' }],
  storage('DoubleStorage', 8, 'f64'),
  storage('FloatStorage', 4, 'f32'),
  storage('HalfStorage', 2, 'f16'),
  storage('BFloat16Storage', 2, 'bf16'),
  storage('LongStorage', 8, 'i64'),
  storage('IntStorage', 4, 'i32'),
  storage('ByteStorage', 1, 'u8'),
  storage('BoolStorage', 1, 'bool'),
  storage('ShortStorage', 2),
  storage('CharStorage', 1),
  storage('ComplexFloatStorage', 8),
  storage('ComplexDoubleStorage', 16),
  dtypeName('float64'),
  dtypeName('float32'),
  dtypeName('float16'),
  dtypeName('bfloat16'),
  dtypeName('int64'),
  dtypeName('int32'),
  dtypeName('uint8'),
  dtypeName('bool'),
]);

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** A tuple (or list) of integers >= 0, or undefined. Its length is bounded: the same long one could come again and again. */
function counts(value: PickleValue | undefined): readonly number[] | undefined {
  if ((!isTuple(value) && !isList(value)) || value.items.length > rankLimit) return undefined;
  const numbers: number[] = [];
  for (const item of value.items) {
    if (!isCount(item)) return undefined;
    numbers.push(item);
  }
  return numbers;
}

/** Reads the pickles of torch.save: OrderedDicts, tensors, parameters and the storages they view. */
class TorchMeaning implements PickleMeaning {
  /** Every storage once, so that two descriptions of one key can be compared. */
  private readonly storages = new Map<string, PickleStorage>();

  constructor(private readonly place: FilePlace) {}

  global(module: string, name: string): PickleValue {
    const meaning = allowedGlobals.get(`${module} ${name}`);
    if (!meaning) {
      const full = `${module}.${name}`;
      throw unsafe(
        this.place,
        `the pickle names ${quoted(full)}, which is not on the list of harmless names`,
        {
          details: { global: full },
        },
      );
    }
    return { kind: 'global', name: `${module}.${name}`, meaning };
  }

  reduce(callable: PickleValue, args: PickleValue): PickleValue {
    if (!isGlobal(callable)) {
      throw unsafe(this.place, `the pickle calls a ${kindOf(callable)}`, {
        details: { callable: kindOf(callable) },
      });
    }
    if (!isTuple(args)) throw this.badArguments(callable.name, 'a tuple of arguments is needed');
    switch (callable.meaning.role) {
      case 'ordered-dict':
        // Python 3 always writes an empty call followed by SETITEMS.
        if (args.items.length > 0) throw this.badArguments(callable.name, 'no argument is needed');
        return { kind: 'dict', entries: new Map() };
      case 'rebuild-tensor':
        return this.tensor(callable.name, args.items);
      case 'rebuild-parameter': {
        const [tensor] = args.items;
        if (!isTensor(tensor)) throw this.badArguments(callable.name, 'a tensor is needed');
        return tensor;
      }
      case 'size': {
        const items = counts(args.items[0]);
        if (!items) throw this.badArguments(callable.name, 'a tuple of integers is needed');
        return { kind: 'tuple', items };
      }
      case 'dtype':
      case 'storage':
        throw unsafe(this.place, `the pickle calls ${callable.name}`, {
          details: { callable: callable.name },
        });
    }
  }

  build(target: PickleValue): void {
    // state_dict() hangs `_metadata` (versions of modules) on its OrderedDict; nothing of it concerns tensors.
    if (isDict(target)) return;
    throw unsafe(this.place, `the pickle sets the state of a ${kindOf(target)}`, {
      details: { target: kindOf(target) },
    });
  }

  persistent(id: PickleValue): PickleValue {
    const [tag, type, key, location, numel] = isTuple(id) ? id.items : [];
    if (tag !== 'storage' || !isGlobal(type) || type.meaning.role !== 'storage') {
      throw corrupt(
        this.place,
        `the pickle refers to something outside that is not a storage: ${kindOf(id)}`,
      );
    }
    if (typeof key !== 'string' || typeof location !== 'string' || !isCount(numel)) {
      throw corrupt(
        this.place,
        `a storage needs key, location and length; ${kindOf(key)}, ${kindOf(location)}, ${kindOf(numel)} came`,
      );
    }
    const { typeName, bytes, dtype } = type.meaning;
    const known = this.storages.get(key);
    if (known) {
      if (known.typeName === typeName && known.numel === numel) return known;
      throw corrupt(
        this.place,
        `storage ${quoted(key)} is described twice: ${known.typeName} of ${known.numel} and ${typeName} of ${numel}`,
        { details: { storage: key } },
      );
    }
    const made: PickleStorage = { kind: 'storage', key, typeName, dtype, bytesPerElement: bytes, numel };
    this.storages.set(key, made);
    return made;
  }

  private tensor(name: string, args: readonly PickleValue[]): PickleTensor {
    const [source, offset, size, stride] = args;
    if (!isStorage(source)) throw this.badArguments(name, `a storage is needed, ${kindOf(source)} came`);
    const shape = counts(size);
    const strides = counts(stride);
    if (!isCount(offset) || !shape || !strides) {
      throw this.badArguments(
        name,
        `offset, size and stride must be integers from 0 to 2^53-1, with at most ${rankLimit} axes`,
      );
    }
    if (shape.length !== strides.length) {
      throw this.badArguments(name, `size has ${shape.length} axes, stride has ${strides.length}`);
    }
    return { kind: 'tensor', storage: source, offset, shape, strides };
  }

  private badArguments(name: string, problem: string): Error {
    return corrupt(this.place, `the pickle gives ${name} wrong arguments: ${problem}`, {
      details: { callable: name },
    });
  }
}

/**
 * Evaluates the data.pkl of a file written by torch.save. Ranges of tensors are not yet checked.
 * @throws EmuError CHECKPOINT_UNSAFE naming what is not on the allow-list, CHECKPOINT_CORRUPT
 */
export function evaluateTorchPickle(bytes: Uint8Array, place: FilePlace): PickleValue {
  return evaluatePickle(bytes, new TorchMeaning(place), place);
}
