import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { makeFolder } from './atomic-file.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'emu-folder-'));
  await writeFile(join(root, 'file'), '');
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('makeFolder', () => {
  it('makes what is missing above too, and takes what is there', async () => {
    const path = join(root, 'a', 'b', 'c');
    await Promise.all([makeFolder(path), makeFolder(path), makeFolder(join(root, 'a', 'd'))]);
    await makeFolder(path);
    expect((await stat(path)).isDirectory()).toBe(true);
    expect((await stat(join(root, 'a', 'd'))).isDirectory()).toBe(true);
  });

  it('names what is in the way', async () => {
    await expect(makeFolder(join(root, 'file'))).rejects.toThrow(
      `[write] ${join(root, 'file')}: a file of that name is in the way`,
    );
    await expect(makeFolder(join(root, 'file', 'a', 'b'))).rejects.toThrow(
      `[write] ${join(root, 'file', 'a', 'b')}: a part of the path is not a folder`,
    );
  });

  // There mkdir with `recursive` never comes back.
  it.runIf(existsSync('/proc/self'))('comes back from a folder that takes no new ones', async () => {
    for (const path of ['/proc/nope', '/proc/nope/deeper']) {
      await expect(makeFolder(path)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: '[write] /proc/nope: the system makes no folder there',
      });
    }
  });
});
