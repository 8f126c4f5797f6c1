import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { typeText } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { referenceExists, referencePath } from '../testing/reference-data.js';
import { crc32 } from './crc32.js';
import { openTensorFile } from './open.js';
import { readTensorFile } from './read-tensor-file.js';
import { bytesAccess } from './random-access.js';
import { readTensor } from './read-tensor.js';
import { bytesOf, readTensorFrom, type TensorEntry } from './tensor-source.js';
import {
  pickledDict,
  torchFile,
  u64,
  zipFile,
  type Member,
  type PickledTensor,
} from './torch-file-builder.js';

const testdata = join(import.meta.dirname, '../../../../testdata/weights');

interface Goldens {
  readonly reference: Readonly<
    Record<string, { count: number; sha256: string; tensors?: Readonly<Record<string, string>> }>
  >;
  readonly types: Readonly<Record<string, string>>;
}
const goldens = JSON.parse(readFileSync(join(testdata, 'goldens.json'), 'utf8')) as Goldens;

/** Type, shape and checksum of the values, as tools/goldens/weights.py prints them. */
async function line(entry: TensorEntry): Promise<string> {
  const tensor = await readTensor(entry);
  return `${typeText(tensor)} ${crc32(bytesOf(tensor.data)).toString(16).padStart(8, '0')}`;
}

describe.skipIf(!referenceExists)('the reference checkpoint', () => {
  it.each(Object.keys(goldens.reference))(
    'has the names, shapes and values that PyTorch reads: %s',
    async (path) => {
      const golden = goldens.reference[path];
      const { entries } = await openTensorFile(referencePath(`checkpoint/${path}`));
      expect(entries.size).toBe(golden?.count);
      const lines = new Map<string, string>();
      for (const [name, entry] of entries) lines.set(name, await line(entry));
      if (golden?.tensors) expect(Object.fromEntries(lines)).toEqual(golden.tensors);
      const text = [...lines.keys()].sort().map((name) => `${name} ${lines.get(name)}`);
      expect(createHash('sha256').update(text.join('\n')).digest('hex')).toBe(golden?.sha256);
    },
  );
});

describe('files of torch.save', () => {
  it.each([2, 3, 4, 5])('have every type and layout, protocol %i', async (protocol) => {
    const { entries } = await openTensorFile(join(testdata, `types-protocol${protocol}.pt`));
    const found: Record<string, string> = {};
    for (const [name, entry] of entries) found[name] = await line(entry);
    expect(found).toEqual(goldens.types);
    expect(entries.get('permuted')?.strides).toEqual([1, 12, 4]);
    expect(entries.get('slice')).not.toHaveProperty('strides');
  });

  it.each([
    ['module.pt', ['epoch', 'rate', 'note', 'big']],
    ['state_dict.pt', []],
  ])('may wrap their tensors: %s', async (name, ignored) => {
    const file = await openTensorFile(join(testdata, name));
    expect([...file.entries.keys()]).toEqual(['weight', 'bias']);
    expect(file.ignored).toEqual(ignored);
    const weight = file.entries.get('weight');
    expect(weight && [...(await readTensor(weight)).data]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('may hold other containers and no checksums', async () => {
    const file = await openTensorFile(join(testdata, 'containers.pt'));
    expect([...file.entries.keys(), ...file.ignored]).toEqual(['x', 'tuple']);
    expect((await openTensorFile(join(testdata, 'no-checksums.pt'))).entries.size).toBe(1);
  });

  it.each([
    ['expanded.pt', 'CHECKPOINT_CORRUPT', 'repeats the 1 elements of its storage 1000 times over'],
    ['int16.pt', 'CHECKPOINT_CORRUPT', '"x" has the element type of ShortStorage, not supported here'],
    ['legacy.pt', 'CHECKPOINT_UNSAFE', 'is a legacy file of torch.save from before PyTorch 1.6'],
    ['torchscript.pt', 'CHECKPOINT_UNSAFE', 'is a TorchScript archive'],
    ['module-object.pt', 'CHECKPOINT_UNSAFE', 'names "torch.nn.modules.linear.Linear"'],
  ])('are refused with the reason: %s', async (name, code, message) => {
    const attempt = openTensorFile(join(testdata, name));
    await expect(attempt).rejects.toMatchObject({ code, hint: expect.stringMatching(/\w/) as string });
    await expect(attempt).rejects.toThrow(message);
  });
});

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

function opened(bytes: Uint8Array) {
  return readTensorFile(bytesAccess(bytes), 'hostile.pt');
}

/** A correct file with one tensor of six floats. */
function file(tensor: PickledTensor, data: Uint8Array = floats(0, 1, 2, 3, 4, 5)): Uint8Array {
  return torchFile(pickledDict({ w: { numel: 6, ...tensor } }), { '0': data });
}

describe('tensors in a torch file', () => {
  it.each([
    ['contiguous', { shape: [2, 3] }, [0, 1, 2, 3, 4, 5]],
    ['transposed', { shape: [3, 2], strides: [1, 3] }, [0, 3, 1, 4, 2, 5]],
    ['with an offset', { shape: [2], offset: 4 }, [4, 5]],
    ['every second', { shape: [3], strides: [2] }, [0, 2, 4]],
    ['a repeated row within the storage', { shape: [2, 2], strides: [0, 1], offset: 1 }, [1, 2, 1, 2]],
    ['an axis of length 1 with any stride', { shape: [1, 6], strides: [99, 1] }, [0, 1, 2, 3, 4, 5]],
    ['a scalar', { shape: [], offset: 5 }, [5]],
    ['empty', { shape: [0, 7], strides: [7, 1] }, []],
    ['empty at the end', { shape: [0], offset: 6 }, []],
  ])('are read: %s', async (_, tensor, expected) => {
    const bytes = file(tensor);
    const { entries } = await opened(bytes);
    const entry = entries.get('w');
    if (!entry) throw new Error('no tensor');
    expect([...(await readTensorFrom(bytesAccess(bytes), entry)).data]).toEqual(expected);
  });

  it.each([
    ['beyond the storage', { shape: [7], numel: 6 }, 'reaches element 7 of a storage of 6'],
    ['an offset beyond', { shape: [2], offset: 5 }, 'reaches element 7 of a storage of 6'],
    ['a stride beyond', { shape: [2, 3], strides: [4, 1] }, 'reaches element 7 of a storage of 6'],
    ['a side of 2^53-1', { shape: [2 ** 53 - 1] }, 'of a storage of 6'],
    ['a product beyond 2^53', { shape: [2 ** 40, 2 ** 40], strides: [0, 0] }, 'of a storage of 6'],
    ['a stride of 2^52', { shape: [3], strides: [2 ** 52] }, 'of a storage of 6'],
    ['expanded', { shape: [1000], strides: [0] }, 'repeats the 6 elements of its storage 1000 times over'],
    ['a negative side', { shape: [-1], numel: 6 }, 'must be integers from 0 to 2^53-1'],
    ['a negative stride', { shape: [2], strides: [-1], offset: 1 }, 'must be integers from 0 to 2^53-1'],
    ['a negative offset', { shape: [2], offset: -1 }, 'must be integers from 0 to 2^53-1'],
    ['too few strides', { shape: [2, 3], strides: [1] }, 'size has 2 axes, stride has 1'],
    ['too many axes', { shape: Array.from({ length: 40 }, () => 1) }, 'with at most 32 axes'],
    ['a storage larger than its member', { shape: [6], numel: 7 }, 'FloatStorage of 7 elements, 28 bytes'],
    ['a storage smaller than its member', { shape: [5], numel: 5 }, 'its member has 24'],
    [
      'another type than its member',
      { shape: [6], storageType: 'DoubleStorage' },
      '48 bytes; its member has 24',
    ],
    ['a negative storage', { shape: [6], numel: -6 }, 'a storage needs key, location and length'],
    ['a missing member', { shape: [6], key: '1' }, 'lies in member "archive/data/1", which is missing'],
    ['a key that climbs', { shape: [6], key: '../data.pkl' }, 'which is missing'],
    [
      'a complex type',
      { shape: [3], numel: 3, storageType: 'ComplexFloatStorage' },
      'element type of ComplexFloatStorage',
    ],
  ])('are refused: %s', async (_, tensor, message) => {
    const attempt = opened(file(tensor));
    await expect(attempt).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
    await expect(attempt).rejects.toThrow(message);
  });

  it('may not describe one storage in two ways', async () => {
    const data = pickledDict({
      a: { shape: [6] },
      b: { shape: [3], numel: 3, storageType: 'DoubleStorage' },
    });
    await expect(opened(torchFile(data, { '0': floats(0, 1, 2, 3, 4, 5) }))).rejects.toThrow(
      'storage "0" is described twice: FloatStorage of 6 and DoubleStorage of 3',
    );
  });
});

const good = pickledDict({ w: { shape: [1] } });
const members = (change: Partial<Record<'data.pkl' | 'data/0', Partial<Member>>> = {}): Member[] => [
  { name: 'a/data.pkl', data: good, ...change['data.pkl'] },
  { name: 'a/data/0', data: floats(1), ...change['data/0'] },
];

describe('the zip container', () => {
  it('may use zip64 records and a comment', async () => {
    expect((await opened(zipFile(members(), { zip64: {} }))).entries.size).toBe(1);
    expect((await opened(zipFile(members(), { comment: [1, 2, 3] }))).entries.size).toBe(1);
    const sizes = { size: 0xffffffff, localSize: 4, extra: [1, 0, 16, 0, ...u64(4), ...u64(4)] };
    const long = zipFile(members({ 'data/0': sizes }), { zip64: {}, filled: true });
    const entry = (await opened(long)).entries.get('w');
    expect(entry && [...(await readTensorFrom(bytesAccess(long), entry)).data]).toEqual([1]);
  });

  const cases: [string, Uint8Array, string][] = [
    ['compressed', zipFile(members({ 'data.pkl': { method: 8 } })), 'is compressed (method 8)'],
    [
      'compressed says the local header',
      zipFile(members({ 'data/0': { localMethod: 8 } })),
      'disagree about the method',
    ],
    ['encrypted', zipFile(members({ 'data/0': { flags: 1 } })), 'member "a/data/0" is encrypted'],
    ['other flags', zipFile(members({ 'data/0': { localFlags: 0x0800 } })), 'disagree about the flags'],
    ['two sizes', zipFile(members({ 'data/0': { storedSize: 3 } })), 'its two sizes are 4 and 3'],
    [
      'another local size',
      zipFile(members({ 'data/0': { localSize: 8 } })),
      'disagree about the stored size',
    ],
    [
      'a size beyond the member',
      zipFile(members({ 'data.pkl': { size: 4000, localSize: 4000 } })),
      'overlaps what begins at',
    ],
    ['another local name', zipFile(members({ 'data/0': { localName: 'a/data/1' } })), 'has another name'],
    [
      'the name twice',
      zipFile([...members(), { name: 'a/data/0', data: floats(2) }]),
      '"a/data/0" stands twice',
    ],
    [
      'one header for two',
      zipFile([...members(), { name: 'a/data/1', data: floats(2), headerOffset: 0 }]),
      'overlaps what begins at',
    ],
    [
      'a header far away',
      zipFile(members({ 'data/0': { headerOffset: 0x7fffffff } })),
      'overlaps what begins at',
    ],
    ['no header there', zipFile(members({ 'data/0': { headerOffset: 1 } })), 'overlaps what begins at'],
    [
      'a name that climbs',
      zipFile([...members(), { name: 'a/../../x', data: [] }]),
      'leads out of the archive',
    ],
    ['an absolute name', zipFile([...members(), { name: '/x', data: [] }]), 'leads out of the archive'],
    [
      'a name with a NUL',
      zipFile([...members(), { name: 'a/\0', data: [] }]),
      'characters that are not allowed',
    ],
    [
      'a member beside the folder',
      zipFile([...members(), { name: 'b/x', data: [] }]),
      '"b/x" lies outside of "a/"',
    ],
    ['no data.pkl', zipFile(members().slice(1)), 'this zip file has 0'],
    ['two data.pkl', zipFile([...members(), { name: 'b/data.pkl', data: good }]), 'this zip file has 2'],
    ['no members', zipFile([]), 'this zip file has 0'],
    [
      'big endian',
      zipFile([...members(), { name: 'a/byteorder', data: [98, 105, 103] }]),
      'says "big", "little" is needed',
    ],
    [
      'a future version',
      zipFile([...members(), { name: 'a/version', data: [52, 50] }]),
      'a version from 1 to 10 is needed',
    ],
    ['a wrong checksum', zipFile(members({ 'data.pkl': { checksum: 1 } })), 'has the checksum'],
    ['more members than there are', zipFile(members(), { count: 3 }), 'cannot hold 3 members'],
    ['fewer members than there are', zipFile(members(), { count: 1 }), 'bytes after the last member'],
    ['65535 members', zipFile(members(), { count: 0xffff }), 'cannot hold 65535 members'],
    ['a directory elsewhere', zipFile(members(), { offset: 3 }), 'does not end at the end record'],
    ['a directory of 4 GiB', zipFile(members(), { size: 0xfffffffe }), 'does not end at the end record'],
    ['another disk', zipFile(members({ 'data/0': { disk: 2 } })), 'in several parts'],
    [
      'zip64 with another count',
      zipFile(members(), { zip64: { count: 3 } }),
      'disagree about the number of members: 2 and 3',
    ],
    [
      'zip64 of 2^60 members',
      zipFile(members(), { count: 0xffff, zip64: { count: 2n ** 60n } }),
      'members in',
    ],
    [
      'zip64 with another offset',
      zipFile(members(), { zip64: { offset: 7 } }),
      'disagree about the position',
    ],
    [
      'zip64 of 2^63 bytes',
      zipFile(members(), { size: 0xffffffff, zip64: { size: 2n ** 63n } }),
      'does not end at the end record',
    ],
    [
      'zip64 elsewhere',
      zipFile(members(), { zip64: { position: 2n ** 64n - 1n } }),
      'its zip64 locator points to',
    ],
    ['zip64 at the start', zipFile(members(), { zip64: { position: 0 } }), 'has no zip64 end record at 0'],
    [
      'zip64 size without its field',
      zipFile(members({ 'data/0': { size: 0xffffffff } })),
      'lacks its zip64 sizes',
    ],
    [
      'a zip64 size of 2^64-1',
      zipFile(
        members({
          'data/0': {
            size: 0xffffffff,
            extra: [1, 0, 16, 0, ...u64(2n ** 64n - 1n), ...u64(2n ** 64n - 1n)],
          },
        }),
      ),
      'overlaps what begins at',
    ],
  ];
  it.each(cases)('is refused with %s', async (_, bytes, message) => {
    const attempt = opened(bytes);
    await expect(attempt).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
    await expect(attempt).rejects.toThrow(message);
  });

  it('is refused when cut at any byte', async () => {
    const whole = zipFile(members(), { zip64: {} });
    for (let length = 0; length < whole.length; length++) {
      await expect(opened(whole.slice(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: 'CHECKPOINT_CORRUPT',
      });
    }
  });
});

it('opens a zip file of 131,071 members in bounded time', async () => {
  const many = Array.from({ length: 131_069 }, (_, i) => ({ name: `a/data/${i + 1}`, data: [] }));
  const bytes = zipFile([...members(), ...many], { zip64: {}, filled: true });
  const start = performance.now();
  expect((await opened(bytes)).entries.size).toBe(1);
  expect(performance.now() - start).toBeLessThan(20_000);
});
