import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openTensorFile } from './open.js';
import { readTensor } from './read-tensor.js';
import { writeSafetensors } from './safetensors-writer.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-open-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function shard(name: string, tensor: string): Promise<string> {
  const path = join(folder, name);
  await writeSafetensors(path, [{ name: tensor, dtype: 'f32', shape: [1], data: Float32Array.of(7) }]);
  return path;
}

describe('openTensorFile', () => {
  it('goes by content, not by name, and through links', async () => {
    const path = await shard('looks-like.pt', 'w');
    await symlink(path, join(folder, 'link'));
    const { entries } = await openTensorFile(join(folder, 'link'));
    const entry = entries.get('w');
    expect(entry && [...(await readTensor(entry)).data]).toEqual([7]);
  });

  const contents: [string, string | Uint8Array, string, string][] = [
    ['empty', '', 'CHECKPOINT_CORRUPT', 'has 0 bytes, too few for any checkpoint'],
    [
      'text',
      'hello, this is text, not weights',
      'CHECKPOINT_CORRUPT',
      'is neither safetensors nor a zip file',
    ],
    ['GGUF', 'GGUF\u0003\0\0\0abcdefgh', 'CHECKPOINT_CORRUPT', 'is a GGUF file'],
    [
      'a git-lfs pointer',
      'version https://git-lfs.github.com/spec/v1\n',
      'CHECKPOINT_CORRUPT',
      'is a pointer of Git LFS',
    ],
    ['a pickle', Uint8Array.of(0x80, 4, 0x95, 0, 0, 0, 0, 0, 0), 'CHECKPOINT_UNSAFE', 'is a bare pickle'],
    ['zeros', new Uint8Array(1000), 'CHECKPOINT_CORRUPT', 'is neither safetensors nor a zip file'],
    ['zip magic alone', 'PK\u0003\u0004', 'CHECKPOINT_CORRUPT', 'has no zip end record'],
  ];
  it.each(contents)('says what else a file is: %s', async (name, content, code, message) => {
    const attempt = openTensorFile(await write(name, content));
    await expect(attempt).rejects.toMatchObject({ code });
    await expect(attempt).rejects.toThrow(message);
  });

  it('refuses what is not a file', async () => {
    const path = (name: string): string => join(folder, name);
    execFileSync('mkfifo', [path('pipe')]);
    await symlink('circle-b', path('circle-a'));
    await symlink('circle-a', path('circle-b'));
    await symlink('nowhere', path('dangling'));
    const server = createServer().listen(path('socket'));
    const cases: [string, string][] = [
      [path('absent'), 'no such file'],
      [path('dangling'), 'no such file'],
      [folder, 'is a folder, a file is needed'],
      [path('pipe'), 'is a named pipe, a file is needed'],
      [path('socket'), 'is a socket, a file is needed'],
      ['/dev/zero', 'is a device, a file is needed'],
      [path('circle-a'), 'its symbolic links lead in a circle'],
      [path('x'.repeat(300)), 'the name is longer than the system allows'],
      [path('x/'.repeat(3000)), 'the limit is 4096'],
      ['a\0b', 'the path contains a NUL character'],
      ['', 'no such file'],
    ];
    try {
      for (const [name, message] of cases) {
        const attempt = openTensorFile(name);
        await expect(attempt, message).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
        await expect(attempt).rejects.toThrow(message);
      }
    } finally {
      server.close();
    }
  });
});

describe('a sharded checkpoint', () => {
  const index = (map: unknown): string => JSON.stringify({ metadata: { total_size: 8 }, weight_map: map });

  it('is one file of tensors', async () => {
    await shard('s-00001-of-00002.safetensors', 'a');
    await shard('s-00002-of-00002.safetensors', 'b');
    const map = { a: 's-00001-of-00002.safetensors', b: 's-00002-of-00002.safetensors' };
    const file = await openTensorFile(await write('s.safetensors.index.json', index(map)));
    expect([...file.entries].map(([name, entry]) => [name, entry.file])).toEqual([
      ['a', join(folder, map.a)],
      ['b', join(folder, map.b)],
    ]);
  });

  it.each([
    ['a missing shard', index({ a: 'absent.safetensors' }), '1 of 1 shards are missing: absent.safetensors'],
    [
      'a tensor that is not there',
      index({ c: 's-00001-of-00002.safetensors' }),
      '"c (s-00001-of-00002.safetensors)"',
    ],
    ['a shard above', index({ a: '../s-00001-of-00002.safetensors' }), 'a plain file name is needed'],
    ['an absolute shard', index({ a: '/etc/passwd' }), 'lies in "/etc/passwd", a plain file name is needed'],
    ['a Windows path', index({ a: '..\\x' }), 'a plain file name is needed'],
    ['itself', index({ a: 'bad.index.json' }), 'a plain file name is needed'],
    ['a number as a shard', index({ a: 1 }), 'a string is needed, "1" came'],
    ['no map', '{}', 'the index needs a weight_map with tensors'],
    ['an empty map', index({}), 'the index needs a weight_map with tensors'],
    ['a tensor twice', '{"weight_map":{"a":"x","a":"y"}}', 'key "a" stands twice'],
    ['no JSON', '{"weight_map":', 'an object is needed, the end came'],
  ])('is refused with %s', async (_, text, message) => {
    await expect(openTensorFile(await write('bad.index.json', text))).rejects.toThrow(message);
  });
});
