import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { makeSmallModel } from './testing/small-model.js';

// What a process is sent and returns can only be seen on a process; it runs the bundle, as users do.
const main = join(import.meta.dirname, '../dist/main.js');
const built = existsSync(main);
if (!built) console.warn(`${main} is not built; signals and closed pipes are not tested`);

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-cli-'));
  model = join(folder, 'model');
  if (built) await makeSmallModel(model);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.skipIf(!built)('the emu process', () => {
  it('ends with 0 and without a word when its reader has seen enough', async () => {
    const statusFile = join(folder, 'status');
    const script = '{ "$0" "$1" model inspect "$2" --tensors --json; echo $? >"$3"; } | head -c 1 >/dev/null';
    const shell = spawn('sh', ['-c', script, process.execPath, main, model, statusFile]);
    let stderr = '';
    shell.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    await new Promise((resolve) => shell.on('close', resolve));
    expect(stderr).toBe('');
    expect(await readFile(statusFile, 'utf8')).toBe('0\n');
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('a chat that waits for a line ends at the first %s with %i', async (signal, expected) => {
    const args = ['chat', '--model', model, '--num-beams', '1', '--max-new-tokens', '2', '--json'];
    const chat = spawn(process.execPath, [main, ...args]);
    let stderr = '';
    chat.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    chat.stdin.write('What is this?\n');
    chat.stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes('"finish"')) setTimeout(() => chat.kill(signal), 50);
    });
    const status = await new Promise((resolve) => chat.on('close', resolve));
    expect({ status, stderr }).toEqual({ status: expected, stderr: `emu: stopped by ${signal}\n` });
  });
});
