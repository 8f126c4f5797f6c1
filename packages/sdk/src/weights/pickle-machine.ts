import { corrupt, quoted, unsafe, type FilePlace } from './checkpoint-error.js';
import { PickleReader } from './pickle-reader.js';
import { pickleLimits, PickleStack } from './pickle-stack.js';
import { kindOf, type PickleTuple, type PickleValue } from './pickle-value.js';

/** What names, calls and persistent ids mean for the kind of pickle at hand: data out of data. */
export interface PickleMeaning {
  /** The inert mark for an allowed name. @throws EmuError CHECKPOINT_UNSAFE for every other name. */
  global(module: string, name: string): PickleValue;
  /** What a "call" of a mark stands for. @throws EmuError */
  reduce(callable: PickleValue, args: PickleValue): PickleValue;
  /** Checks that an object may be given extra state, which is dropped. @throws EmuError */
  build(target: PickleValue): void;
  /** The value behind a persistent id. @throws EmuError */
  persistent(id: PickleValue): PickleValue;
}

interface Machine {
  readonly reader: PickleReader;
  readonly stack: PickleStack;
  readonly meaning: PickleMeaning;
  readonly place: FilePlace;
}

const stop = 0x2e;
const proto = 0x80;
const inst = 0x69;

function tuple(items: readonly PickleValue[]): PickleTuple {
  return { kind: 'tuple', items };
}

function name({ stack, place }: Machine): string {
  const value = stack.pop();
  if (typeof value === 'string') return value;
  throw corrupt(place, `the pickle names a global with a ${kindOf(value)}, a str is needed`);
}

function reduce({ stack, meaning }: Machine): PickleValue {
  const [callable = null, args = null] = stack.popMany(2);
  return meaning.reduce(callable, args);
}

/** Opcodes that put a new value on the stack. */
const values: ReadonlyMap<number, (machine: Machine) => PickleValue> = new Map<
  number,
  (machine: Machine) => PickleValue
>([
  [0x4e, () => null], // NONE
  [0x88, () => true], // NEWTRUE
  [0x89, () => false], // NEWFALSE
  [0x4a, ({ reader }) => reader.i32()], // BININT
  [0x4b, ({ reader }) => reader.u8()], // BININT1
  [0x4d, ({ reader }) => reader.u16()], // BININT2
  [0x8a, ({ reader }) => reader.long(reader.u8())], // LONG1
  [0x8b, ({ reader }) => reader.long(reader.u32())], // LONG4
  [0x47, ({ reader }) => reader.f64BigEndian()], // BINFLOAT
  [0x58, ({ reader }) => reader.utf8(reader.u32())], // BINUNICODE
  [0x8c, ({ reader }) => reader.utf8(reader.u8())], // SHORT_BINUNICODE
  [0x8d, ({ reader }) => reader.utf8(reader.u64())], // BINUNICODE8
  [0x54, ({ reader }) => reader.latin1(reader.u32())], // BINSTRING
  [0x55, ({ reader }) => reader.latin1(reader.u8())], // SHORT_BINSTRING
  [0x42, ({ reader }) => reader.raw(reader.u32())], // BINBYTES
  [0x43, ({ reader }) => reader.raw(reader.u8())], // SHORT_BINBYTES
  [0x8e, ({ reader }) => reader.raw(reader.u64())], // BINBYTES8
  [0x96, ({ reader }) => reader.raw(reader.u64())], // BYTEARRAY8
  [0x5d, () => ({ kind: 'list', items: [] })], // EMPTY_LIST
  [0x6c, ({ stack }) => ({ kind: 'list', items: stack.popMark() })], // LIST
  [0x29, () => tuple([])], // EMPTY_TUPLE
  [0x74, ({ stack }) => tuple(stack.popMark())], // TUPLE
  [0x85, ({ stack }) => tuple(stack.popMany(1))], // TUPLE1
  [0x86, ({ stack }) => tuple(stack.popMany(2))], // TUPLE2
  [0x87, ({ stack }) => tuple(stack.popMany(3))], // TUPLE3
  [0x7d, () => ({ kind: 'dict', entries: new Map() })], // EMPTY_DICT
  [0x64, ({ stack }) => stack.fill({ kind: 'dict', entries: new Map() }, stack.popMark())], // DICT
  [0x8f, () => ({ kind: 'set', items: new Set() })], // EMPTY_SET
  [0x91, ({ stack }) => ({ kind: 'set', items: new Set(stack.popMark()) })], // FROZENSET
  [0x63, ({ reader, meaning }) => meaning.global(reader.line(), reader.line())], // GLOBAL
  [0x93, stackGlobal], // STACK_GLOBAL
  [0x52, reduce], // REDUCE
  [0x81, reduce], // NEWOBJ: for the marks we know, the same as a call
  [0x51, ({ stack, meaning }) => meaning.persistent(stack.pop())], // BINPERSID
]);

function stackGlobal(machine: Machine): PickleValue {
  const last = name(machine);
  return machine.meaning.global(name(machine), last);
}

function build({ stack, meaning }: Machine): void {
  stack.pop();
  meaning.build(stack.top());
}

function frame({ reader, place }: Machine): void {
  const length = reader.u64();
  if (length <= reader.remaining) return;
  throw corrupt(place, `the pickle announces a frame of ${length} bytes, ${reader.remaining} are left`);
}

/** Opcodes that change the stack, the memo, or a value on the stack. */
const actions: ReadonlyMap<number, (machine: Machine) => void> = new Map([
  [0x28, mark],
  [0x30, pop],
  [0x31, popMark],
  [0x32, dup],
  [0x61, append],
  [0x65, appends],
  [0x73, setItem],
  [0x75, setItems],
  [0x90, addItems],
  [0x71, binPut],
  [0x72, longBinPut],
  [0x94, memoize],
  [0x68, binGet],
  [0x6a, longBinGet],
  [0x62, build],
  [0x95, frame],
]);

function mark({ stack }: Machine): void {
  stack.mark();
}

function pop({ stack }: Machine): void {
  stack.popValueOrMark();
}

function popMark({ stack }: Machine): void {
  stack.popMark();
}

function dup({ stack }: Machine): void {
  stack.push(stack.top());
}

function append({ stack }: Machine): void {
  stack.append([stack.pop()]);
}

function appends({ stack }: Machine): void {
  stack.append(stack.popMark());
}

function setItem({ stack }: Machine): void {
  stack.setItems(stack.popMany(2));
}

function setItems({ stack }: Machine): void {
  stack.setItems(stack.popMark());
}

function addItems({ stack }: Machine): void {
  stack.add(stack.popMark());
}

function binPut({ stack, reader }: Machine): void {
  stack.remember(reader.u8());
}

function longBinPut({ stack, reader }: Machine): void {
  stack.remember(reader.u32());
}

function memoize({ stack }: Machine): void {
  stack.remember(stack.memoSize);
}

function binGet({ stack, reader }: Machine): void {
  stack.recall(reader.u8());
}

function longBinGet({ stack, reader }: Machine): void {
  stack.recall(reader.u32());
}

/** Real opcodes that make objects or reach outside of the pickle, and the text opcodes of protocol 0. */
const refused: ReadonlyMap<number, string> = new Map([
  [0x6f, 'OBJ'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x92, 'NEWOBJ_EX'],
  [0x50, 'PERSID'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
  [proto, 'a second PROTO'],
  [0x46, 'FLOAT'],
  [0x49, 'INT'],
  [0x4c, 'LONG'],
  [0x53, 'STRING'],
  [0x56, 'UNICODE'],
  [0x67, 'GET'],
  [0x70, 'PUT'],
]);

function refusedOpcode({ reader, place }: Machine, opcode: number): Error {
  const position = reader.position - 1;
  const hex = `0x${opcode.toString(16).padStart(2, '0')}`;
  const details = { opcode: hex, position };
  if (opcode === inst) {
    const full = `${reader.line()}.${reader.line()}`;
    return unsafe(place, `the pickle wants to make a ${quoted(full)} (INST at byte ${position})`, {
      details: { ...details, global: full },
    });
  }
  const known = refused.get(opcode);
  if (known === undefined) {
    return corrupt(place, `the pickle has the unknown opcode ${hex} at byte ${position}`, { details });
  }
  return unsafe(place, `the pickle uses ${known} (${hex} at byte ${position}), which no state dict needs`, {
    details,
  });
}

function checkProtocol({ reader, place }: Machine): void {
  if (reader.remaining < 2 || reader.u8() !== proto) {
    throw corrupt(place, 'the pickle does not begin with the PROTO opcode of protocol 2 or later');
  }
  const protocol = reader.u8();
  if (protocol < 2 || protocol > 5) {
    throw corrupt(place, `the pickle has protocol ${protocol}, 2 to 5 are known`, { details: { protocol } });
  }
}

function finish({ reader, stack, place }: Machine): PickleValue {
  const value = stack.pop();
  if (stack.depth > 0 || stack.openMarks > 0) {
    throw corrupt(
      place,
      `the pickle leaves ${stack.depth} values and ${stack.openMarks} marks behind at its STOP`,
    );
  }
  if (reader.remaining > 0) throw corrupt(place, `the pickle has ${reader.remaining} bytes after its STOP`);
  return value;
}

/**
 * Evaluates a pickle of protocol 2 to 5 to data. There is no way from an opcode to a function of this process:
 * names become inert marks, calls are looked up by mark, everything else is refused. No recursion; every resource
 * is bounded by `pickleLimits`.
 * @throws EmuError CHECKPOINT_CORRUPT if it breaks a rule or a limit, CHECKPOINT_UNSAFE if it wants anything that
 * `meaning` does not allow.
 * Source: the opcode documentation in CPython's Lib/pickletools.py.
 */
export function evaluatePickle(bytes: Uint8Array, meaning: PickleMeaning, place: FilePlace): PickleValue {
  if (bytes.length > pickleLimits.bytes) {
    throw corrupt(place, `the pickle has ${bytes.length} bytes, the limit is ${pickleLimits.bytes}`, {
      details: { bytes: bytes.length, limit: pickleLimits.bytes },
    });
  }
  const reader = new PickleReader(bytes, place);
  const machine: Machine = { reader, stack: new PickleStack(place), meaning, place };
  checkProtocol(machine);
  for (let steps = 0; steps < pickleLimits.steps; steps++) {
    if (reader.remaining === 0) throw corrupt(place, 'the pickle is cut off: it has no STOP');
    const opcode = reader.u8();
    if (opcode === stop) return finish(machine);
    const value = values.get(opcode);
    const action = actions.get(opcode);
    if (value) machine.stack.create(value(machine));
    else if (action) action(machine);
    else throw refusedOpcode(machine, opcode);
  }
  throw corrupt(place, `the pickle has over ${pickleLimits.steps} opcodes`);
}
