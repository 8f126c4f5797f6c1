import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { referenceExists, referenceFloats, referencePath } from '../testing/reference-data.js';
import { openTensorFile } from './open.js';
import { bytesAccess, type RandomAccess } from './random-access.js';
import { readTensor } from './read-tensor.js';
import { writeSafetensors } from './safetensors-writer.js';
import { readSafetensors } from './safetensors.js';
import { readTensorFrom } from './tensor-source.js';
import { concat, u64 } from './torch-file-builder.js';

function file(header: string | Uint8Array, dataBytes = 0, length?: number | bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  return concat(u64(length ?? text.length), text, new Uint8Array(dataBytes));
}

function opened(bytes: Uint8Array) {
  return readSafetensors(bytesAccess(bytes), 'hostile.safetensors');
}

const one = (shape: string, begin: number, end: number, dtype = 'F32'): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

describe('a valid safetensors file', () => {
  const cases: [string, string, number, readonly string[]][] = [
    ['nothing', '{}', 0, []],
    ['one tensor', `{"a":${one('[2]', 0, 8)}}`, 8, ['a']],
    ['spaces at the end', `{"a":${one('[2]', 0, 8)}}     `, 8, ['a']],
    ['a scalar', `{"a":${one('[]', 0, 4)}}`, 4, ['a']],
    [
      'empty tensors anywhere',
      `{"a":${one('[0]', 4, 4)},"b":${one('[1]', 0, 4)},"c":${one('[3,0]', 0, 0)}}`,
      4,
      ['a', 'b', 'c'],
    ],
    ['any order', `{"b":${one('[1]', 4, 8)},"a":${one('[1]', 0, 4)}}`, 8, ['b', 'a']],
    [
      'every type',
      `{${['F64', 'I64', 'F32', 'I32', 'F16', 'BF16', 'U8', 'BOOL'].map((dtype) => `"${dtype}":${one('[0]', 0, 0, dtype)}`).join(',')}}`,
      0,
      ['F64', 'I64', 'F32', 'I32', 'F16', 'BF16', 'U8', 'BOOL'],
    ],
    [
      'keys it does not know',
      `{"a":{"x":[1,{"y":null}],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`,
      1,
      ['a'],
    ],
    [
      'names special in JavaScript',
      `{"__proto__":${one('[1]', 0, 4)},"":${one('[0]', 0, 0)}}`,
      4,
      ['__proto__', ''],
    ],
    ['escapes', `{"\\u00e9\\n\\ud83d\\ude00":${one('[0]', 0, 0)}}`, 0, ['é\n😀']],
  ];
  it.each(cases)('opens: %s', async (_, header, dataBytes, names) => {
    expect([...(await opened(file(header, dataBytes))).entries.keys()]).toEqual(names);
  });

  it('gives metadata and positions', async () => {
    const header = `{"__metadata__":{"format":"pt","__proto__":"x"},"a":${one('[1,2]', 0, 8)}}`;
    const { metadata, entries } = await opened(file(header, 8));
    expect(Object.entries(metadata)).toEqual([
      ['format', 'pt'],
      ['__proto__', 'x'],
    ]);
    expect(entries.get('a')).toEqual({
      name: 'a',
      dtype: 'f32',
      shape: [1, 2],
      file: 'hostile.safetensors',
      byteOffset: 8 + header.length,
    });
  });

  it.skipIf(!referenceExists)('gives the values of the reference goldens', async () => {
    const { entries } = await openTensorFile(referencePath('goldens/schedulers.safetensors'));
    const entry = entries.get('alphas_cumprod');
    expect(entry && (await readTensor(entry)).data).toEqual(
      referenceFloats('goldens/schedulers.safetensors', 'alphas_cumprod'),
    );
  });
});

describe('an invalid safetensors file is refused', () => {
  const utf8 = (bytes: number[]): Uint8Array =>
    concat(new TextEncoder().encode('{"'), bytes, new TextEncoder().encode(`":${one('[0]', 0, 0)}}`));
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'needs bytes 0 to 8, the file has 0 bytes'],
    ['7 bytes', new Uint8Array(7), 'the file has 7 bytes'],
    ['a header of 0 bytes', file(''), 'does not begin with "{"'],
    ['a header beyond the file', file('{}', 0, 3), 'needs 3 bytes after the first 8, the file has 2'],
    ['a header of 100,000,001', file('{}', 0, 100_000_001), 'is 100000001, the limit is 100000000'],
    ['a header of 2^64-1', file('{}', 0, 2n ** 64n - 1n), 'is 18446744073709551615'],
    ['a space first', file(' {}'), 'does not begin with "{"'],
    ['an array', file('[]'), 'does not begin with "{"'],
    ['bytes after the JSON', file('{}x'), 'the end of the text is needed, "x" came'],
    ['NUL padding', file('{}\0'), 'the end of the text is needed'],
    ['JSON cut off', file('{"a":'), 'an object is needed, the end came'],
    ['a trailing comma', file('{"a":{},}'), 'needs dtype, shape'],
    ['single quotes', file("{'a':{}}"), 'a string is needed'],
    ['a comment', file('{/*x*/}'), 'a string is needed'],
    ['a name twice', file(`{"a":${one('[0]', 0, 0)},"a":${one('[0]', 0, 0)}}`), 'key "a" stands twice'],
    [
      'a name twice by escape',
      file(`{"a":${one('[0]', 0, 0)},"\\u0061":${one('[0]', 0, 0)}}`),
      'key "a" stands twice',
    ],
    [
      'a field twice',
      file('{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
      'key "dtype" stands twice',
    ],
    ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}'), 'key "__metadata__" stands twice'],
    ['metadata with a number', file('{"__metadata__":{"a":1}}'), 'a string is needed, "1" came'],
    ['metadata null', file('{"__metadata__":null}'), 'an object is needed'],
    ['metadata nested', file('{"__metadata__":{"a":{}}}'), 'a string is needed'],
    ['a tensor null', file('{"a":null}'), 'an object is needed'],
    ['no dtype', file('{"a":{"shape":[0],"data_offsets":[0,0]}}'), 'needs dtype, shape and two data_offsets'],
    [
      'one offset',
      file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}}'),
      'needs dtype, shape and two data_offsets',
    ],
    ['three offsets', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}'), 'over 2 numbers'],
    [
      'an unknown dtype',
      file(`{"a":${one('[1]', 0, 4, 'F33')}}`, 4),
      'tensor "a" has the unknown dtype "F33"',
    ],
    ['a dtype in lower case', file(`{"a":${one('[1]', 0, 4, 'f32')}}`, 4), 'unknown dtype "f32"'],
    ['a dtype number', file('{"a":{"dtype":3,"shape":[0],"data_offsets":[0,0]}}'), 'a string is needed'],
    [
      'I8',
      file(`{"a":${one('[4]', 0, 4, 'I8')}}`, 4),
      'tensor "a" has dtype I8, which is valid but not supported',
    ],
    ['U16', file(`{"a":${one('[2]', 0, 4, 'U16')}}`, 4), 'dtype U16, which is valid but not supported'],
    [
      'F8_E4M3',
      file(`{"a":${one('[4]', 0, 4, 'F8_E4M3')}}`, 4),
      'dtype F8_E4M3, which is valid but not supported',
    ],
    ['half a byte', file(`{"a":${one('[1]', 0, 1, 'F4')}}`, 1), 'does not end on a whole byte'],
    [
      'a negative side',
      file(`{"a":${one('[-1]', 0, 4)}}`, 4),
      'a whole number from 0 to 2^53-1 is needed, "-1" came',
    ],
    ['a fraction', file(`{"a":${one('[1.0]', 0, 4)}}`, 4), '"1.0" came'],
    ['an exponent', file(`{"a":${one('[1e0]', 0, 4)}}`, 4), '"1e0" came'],
    ['-0', file(`{"a":${one('[-0]', 0, 0)}}`), '"-0" came'],
    ['a leading zero', file(`{"a":${one('[01]', 0, 4)}}`, 4), '"," or "]" is needed'],
    ['a side of 2^53', file(`{"a":${one('[9007199254740992]', 0, 4)}}`, 4), '"9007199254740992" came'],
    ['2^64 elements', file(`{"a":${one('[4294967296,4294967296]', 0, 0)}}`), 'more bytes than 2^53 bits'],
    [
      '2^64 elements times 0',
      file(`{"a":${one('[4294967296,4294967296,0]', 0, 0)}}`),
      'more bytes than 2^53 bits',
    ],
    [
      'a shape of 33 axes',
      file(`{"a":${one(`[${Array.from({ length: 33 }, () => 1).join()}]`, 0, 4)}}`, 4),
      'over 32 axes',
    ],
    [
      'a shape of text',
      file('{"a":{"dtype":"U8","shape":"1","data_offsets":[0,1]}}', 1),
      'an array is needed',
    ],
    ['end before begin', file(`{"a":${one('[1]', 4, 0)}}`, 4), 'begins at 4 and ends before, at 0'],
    ['too few bytes', file(`{"a":${one('[2]', 0, 4)}}`, 4), 'needs 8 bytes, its data_offsets [0,4] hold 4'],
    ['too many bytes', file(`{"a":${one('[1]', 0, 8)}}`, 8), 'needs 4 bytes, its data_offsets [0,8] hold 8'],
    [
      'an overlap',
      file(`{"a":${one('[2]', 0, 8)},"b":${one('[2]', 4, 12)}}`, 12),
      'tensor "b" overlaps the tensor before it: it begins at 4, 8 is needed',
    ],
    [
      'the same bytes twice',
      file(`{"a":${one('[1]', 0, 4)},"b":${one('[1]', 0, 4)}}`, 4),
      'tensor "b" overlaps',
    ],
    [
      'an empty tensor inside another',
      file(`{"a":${one('[2]', 0, 8)},"b":${one('[0]', 4, 4)}}`, 8),
      'tensor "b" overlaps',
    ],
    [
      'a hole',
      file(`{"a":${one('[1]', 0, 4)},"b":${one('[1]', 8, 12)}}`, 12),
      'tensor "b" leaves a hole before it',
    ],
    [
      'a hole at the start',
      file(`{"a":${one('[1]', 4, 8)}}`, 8),
      'tensor "a" leaves a hole before it: it begins at 4, 0 is needed',
    ],
    [
      'bytes at the end',
      file(`{"a":${one('[1]', 0, 4)}}`, 5),
      'take 4 bytes after the header, the file has 5 there (bytes that belong to no tensor)',
    ],
    [
      'bytes missing at the end',
      file(`{"a":${one('[1]', 0, 4)}}`, 3),
      'take 4 bytes after the header, the file has 3 there (cut off?)',
    ],
    ['bad UTF-8', file(utf8([0xc3, 0x28])), 'the header is not valid UTF-8'],
    ['overlong UTF-8', file(utf8([0xc0, 0x80])), 'the header is not valid UTF-8'],
    ['a lone surrogate', file(`{"\\ud800":${one('[0]', 0, 0)}}`), 'half of a surrogate pair'],
    ['a control character', file(`{"\n":${one('[0]', 0, 0)}}`), 'a control character'],
    ['an escape that does not exist', file(`{"\\x41":${one('[0]', 0, 0)}}`), 'an escape that does not exist'],
    ['a name without end', file('{"aaaa'), 'a string does not end'],
    [
      'a name of 20,000 letters',
      file(`{"${'n'.repeat(20_000)}":${one('[0]', 0, 0)}}`),
      'is longer than 16384',
    ],
    ['deep arrays', file(`{"a":{"x":${'['.repeat(100_000)}`), 'nested deeper than 128'],
    ['deep objects', file(`{"a":{"x":${'{"a":'.repeat(100_000)}`), 'nested deeper than 128'],
  ];
  it.each(cases)('%s', async (_, bytes, message) => {
    const attempt = opened(bytes);
    await expect(attempt).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
    await expect(attempt).rejects.toThrow(message);
  });

  it('when cut at any byte', async () => {
    const whole = file(`{"__metadata__":{"a":"b"},"x":${one('[3]', 0, 12)}}`, 12);
    for (let length = 0; length < whole.length; length++) {
      await expect(opened(whole.slice(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: 'CHECKPOINT_CORRUPT',
      });
    }
  });

  it('without reading more than it must: 1 TiB that claims a header of 99 MB of zeros', async () => {
    let read = 0;
    const access: RandomAccess = {
      size: 2 ** 40,
      read: (offset, length) => {
        read += length;
        return Promise.resolve(offset === 0 ? Uint8Array.from(u64(99_000_000)) : new Uint8Array(length));
      },
    };
    await expect(readSafetensors(access, 'sparse')).rejects.toThrow('does not begin with "{"');
    expect(read).toBeLessThan(100);
  });

  it('with many names in little time and memory', async () => {
    const names = Array.from({ length: 300_000 }, (_, i) => `"${i}":${one('[0]', 0, 0)}`);
    const start = performance.now();
    await expect(opened(file(`{${names.join(',')}}`))).rejects.toThrow('over 262144 tensors');
    await expect(opened(file(`{"__metadata__":{${'"":"",'.repeat(10)}`))).rejects.toThrow(
      'key "" stands twice',
    );
    await expect(opened(file(`{"${'\\n'.repeat(5_000_000)}`))).rejects.toThrow('a string does not end');
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describe('writing safetensors', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'emu-safetensors-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const tensors = [
    { name: 'b', dtype: 'bf16', shape: [3], data: Uint16Array.of(1, 2, 3) },
    { name: 'a"\u{1f600}', dtype: 'f32', shape: [2, 1], data: Float32Array.of(1.5, NaN) },
    { name: 'i', dtype: 'i64', shape: [], data: BigInt64Array.of(-5n) },
    { name: 'empty', dtype: 'f64', shape: [0, 3], data: new Float64Array(0) },
    { name: 'flag', dtype: 'bool', shape: [1], data: Uint8Array.of(1) },
  ] as const;

  it('gives a file that reads back, aligned, the same bytes in any order', async () => {
    const [x, y] = [join(folder, 'x.safetensors'), join(folder, 'y.safetensors')];
    const size = await writeSafetensors(x, tensors, { metadata: { z: '1', a: 'é' } });
    await writeSafetensors(y, [...tensors].reverse(), { metadata: { a: 'é', z: '1' } });
    const bytes = await readFile(x);
    expect(bytes.length).toBe(size);
    expect((await readFile(y)).equals(bytes)).toBe(true);
    const { entries, metadata } = await openTensorFile(x);
    expect(metadata).toEqual({ z: '1', a: 'é' });
    for (const { name, dtype, shape, data } of tensors) {
      const entry = entries.get(name);
      if (!entry) throw new Error(`no ${name}`);
      expect(await readTensorFrom(bytesAccess(bytes), entry)).toEqual({ dtype, shape, data });
      expect(entry.byteOffset % data.BYTES_PER_ELEMENT).toBe(0);
    }
  });

  // What torch.Tensor.to(torch.bfloat16) gives.
  it('converts entries: rounds to nearest, ties to even, and widens exactly', async () => {
    const values = Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -0, 3.4e38, NaN, 1e-40, -Infinity);
    const [wide, narrow, back] = ['wide', 'narrow', 'back'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeSafetensors(wide, [{ name: 'w', dtype: 'f32', shape: [8], data: values }]);
    const source = (await openTensorFile(wide)).entries.get('w');
    if (!source) throw new Error('no w');
    await writeSafetensors(narrow, [{ name: 'w', dtype: 'bf16', shape: [8], source }]);
    const rounded = (await openTensorFile(narrow)).entries.get('w');
    if (!rounded) throw new Error('no w');
    await writeSafetensors(back, [{ name: 'w', dtype: 'f32', shape: [8], source: rounded }]);
    const result = (await openTensorFile(back)).entries.get('w');
    expect(result && [...(await readTensor(result)).data]).toEqual([
      1,
      1,
      1 + 2 ** -6,
      -0,
      Infinity,
      NaN,
      9.183549615799121e-41,
      -Infinity,
    ]);
  });

  it('leaves nothing behind when it is stopped or refused', async () => {
    const path = join(folder, 'stopped.safetensors');
    const stop = new AbortController();
    const attempt = writeSafetensors(path, tensors, {
      signal: stop.signal,
      onProgress: () => {
        stop.abort(new Error('enough'));
      },
    });
    await expect(attempt).rejects.toThrow('enough');
    const wrong = { name: 'w', dtype: 'f32', shape: [3], data: Float32Array.of(1) } as const;
    await expect(writeSafetensors(path, [wrong])).rejects.toThrow(
      '[safetensors] tensor "w" is f32[3], 3 elements; 1 came',
    );
    await expect(writeSafetensors(path, [tensors[0], tensors[0]])).rejects.toThrow(
      'tensor name "b" is taken',
    );
    await expect(writeSafetensors(path, [{ ...wrong, dtype: 'f64', shape: [1] }])).rejects.toThrow(
      'is f64[1], 8 bytes; its data has 4',
    );
    expect((await readdir(folder)).filter((name) => name.startsWith('stopped'))).toEqual([]);
  });
});
