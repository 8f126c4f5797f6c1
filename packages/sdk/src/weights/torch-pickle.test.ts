import { describe, expect, it } from 'vitest';

import { readTensorFile } from './read-tensor-file.js';
import { pickleLimits } from './pickle-stack.js';
import { bytesAccess } from './random-access.js';
import { concat, op, pickle, pickledDict, pickledTensor, torchFile, u32, u64 } from './torch-file-builder.js';

const storages = { '0': new Uint8Array(4) };
const tensor = pickledTensor({ shape: [1] });

function opened(data: Uint8Array) {
  return readTensorFile(bytesAccess(torchFile(data, storages)), 'hostile.pt');
}

/** A dict {'w': tensor, 'x': <these opcodes>}. */
function withValue(...value: readonly (readonly number[])[]): Uint8Array {
  return pickle(op.emptyDict, op.mark, op.text('w'), tensor, op.text('x'), ...value, op.setItems);
}

const times = (count: number, ...parts: readonly (readonly number[])[]): number[] =>
  Array.from({ length: count }, () => parts.flat()).flat();

describe('a pickle that is data', () => {
  it('gives its tensors and lists the rest', async () => {
    const file = await opened(withValue(op.mark, op.int(1), op.int(-5), op.int(2 ** 40), op.tuple));
    expect([...file.entries.keys()]).toEqual(['w']);
    expect(file.ignored).toEqual(['x']);
  });

  it('keeps names that are special in JavaScript', async () => {
    const data = pickledDict({
      ['__proto__']: { shape: [1] },
      constructor: { shape: [1] },
      '': { shape: [1] },
    });
    // `{ ['__proto__']: ... }` makes an own property, as JSON.parse does.
    expect([...(await opened(data)).entries.keys()]).toEqual(['__proto__', 'constructor', '']);
  });

  it('may be an OrderedDict with _metadata, in parameters, under NEWOBJ', async () => {
    const ordered = [...op.global('collections', 'OrderedDict'), ...op.emptyTuple];
    const items = [...op.mark, ...op.text('w'), ...tensor, ...op.setItems];
    const state = [...op.emptyDict, ...op.text('_metadata'), ...op.emptyDict, ...op.setItem];
    const reduced = pickle(ordered, op.reduce, items, state, op.build);
    const made = pickle(ordered, op.newObj, items);
    const parameter = pickle(
      ...[op.emptyDict, op.text('w'), op.global('torch._utils', '_rebuild_parameter')],
      ...[op.mark, tensor, op.true, ordered, op.reduce, op.tuple, op.reduce, op.setItem],
    );
    for (const data of [reduced, made, parameter]) expect((await opened(data)).entries.size).toBe(1);
  });

  it('may wrap its tensors four times, not in a circle', async () => {
    const wrap = (depth: number): number[] =>
      depth === 0
        ? [...op.emptyDict, ...op.text('w'), ...tensor, ...op.setItem]
        : [...op.emptyDict, ...op.text('module'), ...wrap(depth - 1), ...op.setItem];
    expect((await opened(pickle(wrap(4)))).entries.size).toBe(1);
    await expect(opened(pickle(wrap(5)))).rejects.toThrow('wraps its tensors in over 4 dicts');
    const circle = pickle(op.emptyDict, op.put(0), op.text('module'), op.get(0), op.setItem);
    await expect(opened(circle)).rejects.toThrow('wraps its tensors in over 4 dicts');
  });

  it('may have a dict that is called like a wrapper beside its tensors', async () => {
    const config = [...op.text('model'), ...op.emptyDict, ...op.text('type'), ...op.text('x'), ...op.setItem];
    const file = await opened(pickle(op.emptyDict, op.mark, op.text('w'), tensor, config, op.setItems));
    expect([[...file.entries.keys()], file.ignored]).toEqual([['w'], ['model']]);
  });

  it('may hold values that contain themselves', async () => {
    const list = [...op.emptyList, ...op.put(0), ...op.get(0), ...op.append];
    expect((await opened(withValue(list))).ignored).toEqual(['x']);
  });
});

describe('a pickle that wants more than data is refused and nothing of it runs', () => {
  const call = (module: string, name: string): number[] => [
    ...op.global(module, name),
    ...op.text('touch /tmp/emu-was-here'),
    ...op.tuple1,
    ...op.reduce,
  ];
  const cases: [string, Uint8Array, string][] = [
    ['os.system', withValue(call('os', 'system')), 'names "os.system"'],
    ['posix.system', withValue(call('posix', 'system')), 'names "posix.system"'],
    ['builtins.eval', withValue(call('builtins', 'eval')), 'names "builtins.eval"'],
    ['a name alone', withValue(op.global('subprocess', 'Popen')), 'names "subprocess.Popen"'],
    [
      'a name of ours in another module',
      withValue(op.global('os', '_rebuild_tensor_v2')),
      'names "os._rebuild_tensor_v2"',
    ],
    [
      'a name with a dot',
      withValue(op.global('torch', 'FloatStorage.__init__')),
      'names "torch.FloatStorage.__init__"',
    ],
    ['a name with a space', withValue(op.global('torch FloatStorage', '')), 'names "torch FloatStorage."'],
    [
      'the machine of JavaScript',
      withValue(op.global('constructor', 'constructor')),
      'names "constructor.constructor"',
    ],
    [
      'a name from the stack',
      withValue(op.text('os'), op.text('system'), op.stackGlobal),
      'names "os.system"',
    ],
    ['the call of a storage type', withValue(call('torch', 'FloatStorage')), 'calls torch.FloatStorage'],
    ['the call of a str', withValue(op.text('x'), op.emptyTuple, op.reduce), 'calls a str'],
    ['the call of a tensor', withValue(tensor, op.emptyTuple, op.reduce), 'calls a tensor'],
    ['the state of a tensor', withValue(tensor, op.emptyDict, op.build), 'sets the state of a tensor'],
    [
      'the state of a name',
      withValue(op.global('torch', 'Size'), op.emptyDict, op.build),
      'sets the state of a torch.Size',
    ],
    [
      'INST',
      withValue(op.mark, [0x69, ...new TextEncoder().encode('os\nsystem\n')]),
      'wants to make a "os.system" (INST',
    ],
    ['OBJ', withValue(op.mark, op.global('torch', 'Size'), [0x6f]), 'uses OBJ'],
    ['EXT1', withValue([0x82, 1]), 'uses EXT1'],
    ['EXT2', withValue([0x83, 1, 0]), 'uses EXT2'],
    ['EXT4', withValue([0x84, 1, 0, 0, 0]), 'uses EXT4'],
    [
      'NEWOBJ_EX',
      withValue(op.global('torch', 'Size'), op.emptyTuple, op.emptyDict, [0x92]),
      'uses NEWOBJ_EX',
    ],
    ['PERSID', withValue([0x50, 0x61, 0x0a]), 'uses PERSID'],
    ['NEXT_BUFFER', withValue([0x97]), 'uses NEXT_BUFFER'],
    ['READONLY_BUFFER', withValue([0x98]), 'uses READONLY_BUFFER'],
    ['INT of protocol 0', withValue([0x49, 0x31, 0x0a]), 'uses INT'],
    ['a bare pickle', pickle(call('os', 'system')), 'is a bare pickle'],
  ];
  it.each(cases)('%s', async (name, data, message) => {
    const bytes = name === 'a bare pickle' ? data : torchFile(data, storages);
    const attempt = readTensorFile(bytesAccess(bytes), 'hostile.pt');
    await expect(attempt).rejects.toMatchObject({
      code: 'CHECKPOINT_UNSAFE',
      hint: expect.stringContaining('safetensors') as string,
    });
    await expect(attempt).rejects.toThrow(message);
  });
});

describe('a pickle that breaks a rule is refused', () => {
  const huge = 2n ** 63n;
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'does not begin with the PROTO'],
    ['no STOP', concat(op.proto(2), op.emptyDict), 'is cut off: it has no STOP'],
    ['bytes after STOP', concat(pickledDict({ w: { shape: [1] } }), [0]), 'has 1 bytes after its STOP'],
    ['two values', pickle(op.emptyDict, op.emptyDict), 'leaves 1 values and 0 marks behind'],
    ['no value', pickle(), 'takes a value from an empty stack'],
    ['a mark left', pickle(op.mark, op.emptyDict), 'leaves 0 values and 1 marks behind'],
    ['protocol 1', concat(op.proto(1), op.emptyDict, op.stop), 'has protocol 1'],
    ['protocol 6', concat(op.proto(6), op.emptyDict, op.stop), 'has protocol 6'],
    ['an unknown opcode', withValue([0xff]), 'has the unknown opcode 0xff'],
    ['POP of nothing', pickle([0x30]), 'takes a value from an empty stack'],
    ['TUPLE without MARK', pickle(op.tuple), 'goes back to a mark that it never set'],
    [
      'a value below the mark',
      pickle(op.emptyDict, op.mark, op.setItem),
      'takes a value from an empty stack',
    ],
    ['BINGET of nothing', withValue(op.get(7)), 'recalls value 7, which it never stored'],
    ['BINPUT of nothing', pickle(op.put(0)), 'looks at the top of an empty stack'],
    [
      'SETITEMS of a list',
      pickle(op.emptyList, op.mark, op.none, op.none, op.setItems),
      'sets items of a list',
    ],
    [
      'half an item',
      pickle(op.emptyDict, op.mark, op.text('a'), op.setItems),
      'sets a dict key without a value',
    ],
    ['one key twice', pickledDict2('w', 'w'), 'sets the dict key "w" twice'],
    [
      'a dict as a key',
      withValue(op.emptyDict, op.emptyDict, op.none, op.setItem),
      'has a dict as a dict key',
    ],
    [
      'a number as a tensor name',
      pickle(op.emptyDict, op.int(3), tensor, op.setItem),
      'names a tensor with a number',
    ],
    ['APPEND to a dict', withValue(op.emptyDict, op.none, op.append), 'appends to a dict'],
    ['ADDITEMS to a list', withValue(op.emptyList, op.mark, op.none, [0x90]), 'adds to a list'],
    ['a frame beyond the end', withValue([0x95, ...u64(huge)], op.none), 'announces a frame of'],
    [
      'BINUNICODE beyond the end',
      withValue([0x58, ...u32(1000)]),
      'the pickle is cut off: 1000 bytes are needed',
    ],
    ['BINUNICODE of 4 GiB', withValue([0x58, ...u32(0xffffffff)]), 'a string of 4294967295 bytes'],
    ['BINUNICODE8 of 2^63', withValue([0x8d, ...u64(huge)]), 'a string of 9223372036854776000 bytes'],
    ['BINBYTES8 of 2^63', withValue([0x8e, ...u64(huge)]), 'a string of 9223372036854776000 bytes'],
    ['BYTEARRAY8 of 2^63', withValue([0x96, ...u64(huge)]), 'a string of 9223372036854776000 bytes'],
    ['LONG4 of 4 GiB', withValue([0x8b, ...u32(0xffffffff)]), 'an integer of 4294967295 bytes'],
    ['a string that is not UTF-8', withValue([0x58, ...u32(2), 0xc3, 0x28]), 'is not valid UTF-8'],
    ['a name without an end', withValue([0x63, ...times(2000, [0x61])]), 'does not end within 1024 bytes'],
    [
      'a name that is no str',
      withValue(op.int(1), op.int(2), op.stackGlobal),
      'names a global with a number',
    ],
    ['a list at the top', pickle(op.emptyList), 'holds a list, a dict of tensors is needed'],
    ['None at the top', pickle(op.none), 'holds a None, a dict of tensors is needed'],
    ['no tensors', pickle(op.emptyDict, op.text('a'), op.int(1), op.setItem), 'holds 0 tensors'],
    [
      'a persistent id that is no tuple',
      withValue(op.text('0'), op.persistentId),
      'refers to something outside',
    ],
    [
      'arguments that are no tuple',
      withValue(op.global('torch', 'Size'), op.none, op.reduce),
      'a tuple of arguments is needed',
    ],
    [
      'a tensor of no storage',
      withValue(op.global('torch._utils', '_rebuild_tensor_v2'), op.emptyTuple, op.reduce),
      'a storage is needed, nothing came',
    ],
    [
      'a parameter of no tensor',
      withValue(op.global('torch._utils', '_rebuild_parameter'), op.emptyTuple, op.reduce),
      'a tensor is needed',
    ],
    [
      'an OrderedDict of something',
      withValue(op.global('collections', 'OrderedDict'), op.emptyList, op.tuple1, op.reduce),
      'no argument is needed',
    ],
    [
      'a Size of text',
      withValue(op.global('torch', 'Size'), op.text('x'), op.tuple1, op.reduce),
      'a tuple of integers is needed',
    ],
  ];
  it.each(cases)('%s', async (_, data, message) => {
    const attempt = opened(data);
    await expect(attempt).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
    await expect(attempt).rejects.toThrow(message);
  });

  function pickledDict2(...names: string[]): Uint8Array {
    return pickle(op.emptyDict, op.mark, ...names.map((name) => [...op.text(name), ...tensor]), op.setItems);
  }

  it('when cut at any byte', async () => {
    const whole = pickledDict({ w: { shape: [1] }, v: { shape: [1] } });
    for (let length = 0; length < whole.length; length++) {
      await expect(opened(whole.slice(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: 'CHECKPOINT_CORRUPT',
      });
    }
  });
});

describe('bombs end quickly', () => {
  const filled = (count: number, ...bytes: number[]): Uint8Array => {
    const out = new Uint8Array(count * bytes.length);
    for (let i = 0; i < out.length; i++) out[i] = bytes[i % bytes.length] ?? 0;
    return out;
  };
  const nested = filled(100_000, ...op.emptyList, ...op.mark, ...op.mark);
  const doubling = times(100, op.put(0), [0x30], op.mark, op.get(0), op.get(0), op.tuple);
  const cases: [string, Uint8Array, string][] = [
    [
      'lists in lists',
      concat(op.proto(2), filled(5_000_000, 0x5d)),
      `makes over ${pickleLimits.objects} objects`,
    ],
    ['dicts', concat(op.proto(2), filled(3_000_000, 0x7d)), `makes over ${pickleLimits.objects} objects`],
    ['marks', concat(op.proto(2), filled(1_000_000, 0x28)), `has over ${pickleLimits.marks} open marks`],
    ['marks and lists', concat(op.proto(2), nested), `has over ${pickleLimits.marks} open marks`],
    [
      'NONE',
      concat(op.proto(2), filled(5_000_000, 0x4e)),
      `puts over ${pickleLimits.stack} values on its stack`,
    ],
    [
      'NONE and POP',
      concat(op.proto(2), filled(5_000_000, 0x4e, 0x30)),
      `has over ${pickleLimits.steps} opcodes`,
    ],
    [
      'the memo',
      concat(op.proto(2), op.none, filled(2_000_000, 0x94)),
      `remembers over ${pickleLimits.objects} values`,
    ],
    [
      'a pickle of 65 MiB',
      new Uint8Array(65 << 20),
      `has 68157440 bytes, the limit is ${pickleLimits.bytes}`,
    ],
  ];
  it.each(cases)('%s', async (_, data, message) => {
    const start = performance.now();
    await expect(opened(data)).rejects.toThrow(message);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  it('2^100 tuples by doubling are one list of 100', async () => {
    const file = await opened(withValue(op.emptyTuple, doubling));
    expect(file.ignored).toEqual(['x']);
  });

  it('the same long tuple as the shape of many tensors', async () => {
    const long = [...op.mark, ...times(200_000, op.int(1)), ...op.tuple, ...op.put(9), ...[0x30]];
    const one = [...op.global('torch', 'Size'), ...op.get(9), ...op.tuple1, ...op.reduce];
    const start = performance.now();
    await expect(opened(pickle(long, times(100_000, one)))).rejects.toThrow('a tuple of integers is needed');
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
