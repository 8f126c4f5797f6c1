import { corrupt, quoted, unsafe, type FilePlace } from './checkpoint-error.js';
import { PickleReader } from './pickle-reader.js';
import {
  isDict,
  isList,
  isSet,
  kindOf,
  type PickleDict,
  type PickleTuple,
  type PickleValue,
} from './pickle-value.js';

/** Limits that keep a hostile pickle cheap; a checkpoint of 100,000 tensors stays below them. */
export const pickleLimits = {
  /** Bytes of the pickle. */
  bytes: 1 << 26,
  /** Opcodes. */
  steps: 1 << 22,
  /** Values other than numbers that opcodes create. */
  objects: 1 << 20,
  /** Values on the stack at once. */
  stack: 1 << 20,
  /** Open marks at once. */
  marks: 1 << 16,
} as const;

/** What names, calls and persistent ids mean for the kind of pickle at hand: data out of data. */
export interface PickleMeaning {
  /** The inert mark for an allowed name. @throws EmuError CHECKPOINT_UNSAFE for every other name. */
  global(module: string, name: string): PickleValue;
  /** What a "call" of a mark stands for. @throws EmuError */
  reduce(callable: PickleValue, args: PickleValue): PickleValue;
  /** Takes the extra state of an object; it may be dropped. @throws EmuError */
  build(target: PickleValue, state: PickleValue): void;
  /** The value behind a persistent id. @throws EmuError */
  persistent(id: PickleValue): PickleValue;
}

type Operation = (machine: PickleMachine) => void;

/**
 * A machine for pickles of protocol 2 to 5 that computes data and calls nothing: there is no way from an opcode
 * to a function of this process. No recursion, every resource is bounded by `pickleLimits`.
 * Source: the opcode documentation in CPython's Lib/pickletools.py.
 */
class PickleMachine {
  readonly reader: PickleReader;
  private readonly stack: PickleValue[] = [];
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private objects = 0;

  constructor(
    bytes: Uint8Array,
    readonly meaning: PickleMeaning,
    readonly place: FilePlace,
  ) {
    this.reader = new PickleReader(bytes, place);
  }

  run(): PickleValue {
    if (this.reader.remaining < 2 || this.reader.u8() !== 0x80) {
      throw this.corrupt('does not begin with the PROTO opcode of protocol 2 or later');
    }
    const protocol = this.reader.u8();
    if (protocol < 2 || protocol > 5) {
      throw this.corrupt(`has protocol ${protocol}, 2 to 5 are known`, { protocol });
    }
    for (let steps = 0; ; steps++) {
      if (steps >= pickleLimits.steps) throw this.corrupt(`has over ${pickleLimits.steps} opcodes`);
      if (this.reader.remaining === 0) throw this.corrupt('is cut off: it has no STOP');
      const position = this.reader.position;
      const opcode = this.reader.u8();
      if (opcode === stop) break;
      const operation = operations.get(opcode);
      if (!operation) throw this.refusedOpcode(opcode, position);
      operation(this);
    }
    const value = this.pop();
    if (this.stack.length > 0 || this.marks.length > 0) {
      throw this.corrupt(
        `leaves ${this.stack.length} values and ${this.marks.length} marks behind at its STOP`,
      );
    }
    if (this.reader.remaining > 0) {
      throw this.corrupt(`has ${this.reader.remaining} bytes after its STOP`);
    }
    return value;
  }

  push(value: PickleValue): void {
    if (this.stack.length >= pickleLimits.stack) {
      throw this.corrupt(`puts over ${pickleLimits.stack} values on its stack`);
    }
    this.stack.push(value);
  }

  /** Pushes a value that was made just now. */
  create(value: PickleValue): void {
    if (++this.objects > pickleLimits.objects) {
      throw this.corrupt(`makes over ${pickleLimits.objects} objects`);
    }
    this.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.length > this.floor ? this.stack.pop() : undefined;
    if (value === undefined) throw this.corrupt('takes a value from an empty stack');
    return value;
  }

  top(): PickleValue {
    const value = this.stack.length > this.floor ? this.stack.at(-1) : undefined;
    if (value === undefined) throw this.corrupt('looks at the top of an empty stack');
    return value;
  }

  mark(): void {
    if (this.marks.length >= pickleLimits.marks) {
      throw this.corrupt(`has over ${pickleLimits.marks} open marks`);
    }
    this.marks.push(this.stack.length);
  }

  /** The values above the last mark, in order; they and the mark leave the stack. */
  popMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.corrupt('goes back to a mark that it never set');
    return this.stack.splice(mark);
  }

  /** POP also removes a mark that lies on top. */
  popValueOrMark(): void {
    if (this.marks.length > 0 && this.stack.length === this.floor) this.marks.pop();
    else this.pop();
  }

  tuple(length: number): void {
    const items: PickleValue[] = [];
    for (let i = 0; i < length; i++) items.push(this.pop());
    this.create({ kind: 'tuple', items: items.reverse() });
  }

  get memoSize(): number {
    return this.memo.size;
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
    if (this.memo.size > pickleLimits.objects) {
      throw this.corrupt(`remembers over ${pickleLimits.objects} values`);
    }
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.corrupt(`recalls value ${index}, which it never stored`, { index });
    this.push(value);
  }

  setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isDict(target)) throw this.corrupt(`sets items of a ${kindOf(target)}, a dict is needed`);
    this.fill(target, items);
  }

  fill(target: PickleDict, items: readonly PickleValue[]): void {
    if (items.length % 2 !== 0) throw this.corrupt('sets a dict key without a value');
    for (let i = 0; i + 1 < items.length; i += 2) {
      const [key, value] = [items[i], items[i + 1]];
      if (key === undefined || value === undefined) break;
      if (isDict(key) || isList(key) || isSet(key)) throw this.corrupt(`has a ${kindOf(key)} as a dict key`);
      if (target.entries.has(key)) {
        const shown = typeof key === 'string' ? quoted(key) : kindOf(key);
        throw this.corrupt(`sets the dict key ${shown} twice`, { key: shown });
      }
      target.entries.set(key, value);
    }
  }

  append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isList(target)) throw this.corrupt(`appends to a ${kindOf(target)}, a list is needed`);
    for (const item of items) target.items.push(item);
  }

  add(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isSet(target)) throw this.corrupt(`adds to a ${kindOf(target)}, a set is needed`);
    for (const item of items) target.items.add(item);
  }

  corrupt(problem: string, details: Readonly<Record<string, unknown>> = {}): Error {
    return corrupt(this.place, `the pickle ${problem}`, {
      details: { position: this.reader.position, ...details },
    });
  }

  private get floor(): number {
    return this.marks.at(-1) ?? 0;
  }

  private refusedOpcode(opcode: number, position: number): Error {
    const hex = `0x${opcode.toString(16).padStart(2, '0')}`;
    const details = { opcode: hex, position };
    if (opcode === 0x69) {
      const name = `${this.reader.line()}.${this.reader.line()}`;
      return unsafe(this.place, `the pickle wants to make a ${quoted(name)} (INST at byte ${position})`, {
        details: { ...details, global: name },
      });
    }
    const name = refusedOpcodes.get(opcode);
    if (name !== undefined) {
      return unsafe(
        this.place,
        `the pickle uses ${name} (${hex} at byte ${position}), which no state dict needs`,
        {
          details,
        },
      );
    }
    return this.corrupt(`has the unknown opcode ${hex} at byte ${position}`, details);
  }
}

const stop = 0x2e;

/** Real opcodes that make objects or reach outside of the pickle, and the text opcodes of protocol 0. */
const refusedOpcodes: ReadonlyMap<number, string> = new Map([
  [0x6f, 'OBJ'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x92, 'NEWOBJ_EX'],
  [0x50, 'PERSID'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
  [0x80, 'a second PROTO'],
  [0x46, 'FLOAT'],
  [0x49, 'INT'],
  [0x4c, 'LONG'],
  [0x53, 'STRING'],
  [0x56, 'UNICODE'],
  [0x67, 'GET'],
  [0x70, 'PUT'],
]);

function tupleOf(items: readonly PickleValue[]): PickleTuple {
  return { kind: 'tuple', items };
}

function text(machine: PickleMachine): string {
  const value = machine.pop();
  if (typeof value !== 'string')
    throw machine.corrupt(`names a global with a ${kindOf(value)}, a str is needed`);
  return value;
}

function global(machine: PickleMachine, module: string, name: string): void {
  machine.push(machine.meaning.global(module, name));
}

function reduce(machine: PickleMachine): void {
  const args = machine.pop();
  const callable = machine.pop();
  machine.create(machine.meaning.reduce(callable, args));
}

function dict(machine: PickleMachine, items: readonly PickleValue[]): void {
  const made: PickleDict = { kind: 'dict', entries: new Map() };
  machine.fill(made, items);
  machine.create(made);
}

function frame(machine: PickleMachine): void {
  const length = machine.reader.u64();
  if (length > machine.reader.remaining) {
    throw machine.corrupt(`announces a frame of ${length} bytes, ${machine.reader.remaining} are left`);
  }
}

const operations: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [0x28, (m) => m.mark()], // MARK
  [0x30, (m) => m.popValueOrMark()], // POP
  [0x31, (m) => void m.popMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4a, (m) => m.push(m.reader.i32())], // BININT
  [0x4b, (m) => m.push(m.reader.u8())], // BININT1
  [0x4d, (m) => m.push(m.reader.u16())], // BININT2
  [0x8a, (m) => m.create(m.reader.long(m.reader.u8()))], // LONG1
  [0x8b, (m) => m.create(m.reader.long(m.reader.u32()))], // LONG4
  [0x47, (m) => m.push(m.reader.f64BigEndian())], // BINFLOAT
  [0x58, (m) => m.create(m.reader.utf8(m.reader.u32()))], // BINUNICODE
  [0x8c, (m) => m.create(m.reader.utf8(m.reader.u8()))], // SHORT_BINUNICODE
  [0x8d, (m) => m.create(m.reader.utf8(m.reader.u64()))], // BINUNICODE8
  [0x54, (m) => m.create(m.reader.latin1(m.reader.u32()))], // BINSTRING
  [0x55, (m) => m.create(m.reader.latin1(m.reader.u8()))], // SHORT_BINSTRING
  [0x42, (m) => m.create(m.reader.raw(m.reader.u32()))], // BINBYTES
  [0x43, (m) => m.create(m.reader.raw(m.reader.u8()))], // SHORT_BINBYTES
  [0x8e, (m) => m.create(m.reader.raw(m.reader.u64()))], // BINBYTES8
  [0x96, (m) => m.create(m.reader.raw(m.reader.u64()))], // BYTEARRAY8
  [0x5d, (m) => m.create({ kind: 'list', items: [] })], // EMPTY_LIST
  [0x6c, (m) => m.create({ kind: 'list', items: m.popMark() })], // LIST
  [0x61, (m) => m.append([m.pop()])], // APPEND
  [0x65, (m) => m.append(m.popMark())], // APPENDS
  [0x29, (m) => m.create(tupleOf([]))], // EMPTY_TUPLE
  [0x74, (m) => m.create(tupleOf(m.popMark()))], // TUPLE
  [0x85, (m) => m.tuple(1)], // TUPLE1
  [0x86, (m) => m.tuple(2)], // TUPLE2
  [0x87, (m) => m.tuple(3)], // TUPLE3
  [0x7d, (m) => dict(m, [])], // EMPTY_DICT
  [0x64, (m) => dict(m, m.popMark())], // DICT
  [
    0x73,
    (m) => {
      const value = m.pop();
      const key = m.pop();
      m.setItems([key, value]);
    },
  ], // SETITEM
  [0x75, (m) => m.setItems(m.popMark())], // SETITEMS
  [0x8f, (m) => m.create({ kind: 'set', items: new Set() })], // EMPTY_SET
  [0x90, (m) => m.add(m.popMark())], // ADDITEMS
  [0x91, (m) => m.create({ kind: 'set', items: new Set(m.popMark()) })], // FROZENSET
  [0x71, (m) => m.remember(m.reader.u8())], // BINPUT
  [0x72, (m) => m.remember(m.reader.u32())], // LONG_BINPUT
  [0x94, (m) => m.remember(m.memoSize)], // MEMOIZE
  [0x68, (m) => m.recall(m.reader.u8())], // BINGET
  [0x6a, (m) => m.recall(m.reader.u32())], // LONG_BINGET
  [0x63, (m) => global(m, m.reader.line(), m.reader.line())], // GLOBAL
  [
    0x93,
    (m) => {
      const name = text(m);
      global(m, text(m), name);
    },
  ], // STACK_GLOBAL
  [0x52, reduce], // REDUCE
  [0x81, reduce], // NEWOBJ: for the marks we know, the same as a call
  [
    0x62,
    (m) => {
      const state = m.pop();
      m.meaning.build(m.top(), state);
    },
  ], // BUILD
  [0x51, (m) => m.create(m.meaning.persistent(m.pop()))], // BINPERSID
  [0x95, frame], // FRAME
]);

/**
 * Evaluates a pickle to data; nothing in it is ever called.
 * @throws EmuError CHECKPOINT_CORRUPT if it breaks a rule or a limit, CHECKPOINT_UNSAFE if it wants anything that
 * `meaning` does not allow.
 */
export function evaluatePickle(bytes: Uint8Array, meaning: PickleMeaning, place: FilePlace): PickleValue {
  if (bytes.length > pickleLimits.bytes) {
    throw corrupt(place, `the pickle has ${bytes.length} bytes, the limit is ${pickleLimits.bytes}`, {
      details: { bytes: bytes.length, limit: pickleLimits.bytes },
    });
  }
  return new PickleMachine(bytes, meaning, place).run();
}
