import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { decodeImage } from '@emu/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { SignalStop } from '../terminal.js';
import { commandResult, jsonLines, type CommandResult } from '../testing/command-result.js';
import { writePicture } from '../testing/pictures.js';
import { makeSmallModel } from '../testing/small-model.js';

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-cli-'));
  model = join(folder, 'model');
  await makeSmallModel(model);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const small = ['--steps', '2', '--width', '64', '--height', '32', '--safety-checker', 'off'];
const emu = (verb: string, ...args: string[]): Promise<CommandResult> =>
  commandResult([verb, '--model', model, ...small, ...args]);

describe('emu imagine', () => {
  it('writes the picture it names; the same seed gives the same bytes', async () => {
    const [first, second] = [join(folder, 'first.png'), join(folder, 'second.png')];
    const { status, stdout, stderr } = await emu('imagine', '--json', '--seed', '7', 'a dog', '-o', first);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(jsonLines(stdout)).toEqual([{ output: first, width: 64, height: 32, seed: 7, flagged: false }]);
    expect(await decodeImage(await readFile(first))).toMatchObject({ width: 64, height: 32 });
    const plain = await emu('imagine', '--seed', '7', 'a dog', '-o', second);
    expect(plain).toEqual({ status: 0, stdout: `${second}: 64x32, seed 7\n`, stderr: '' });
    expect(await readFile(second)).toEqual(await readFile(first));
  });

  it('writes JPEG where the name says so', async () => {
    const output = join(folder, 'dog.JPG');
    expect((await emu('imagine', 'a dog', '-o', output)).status).toBe(0);
    expect([...(await readFile(output)).subarray(0, 2)]).toEqual([0xff, 0xd8]);
  });

  it('shows steps as JSON on stderr with --progress json', async () => {
    const { stdout, stderr } = await emu(
      'imagine',
      'a',
      '-o',
      join(folder, 'a.png'),
      '--progress',
      'json',
      '-q',
    );
    expect(stdout).toMatch(/a\.png: 64x32, seed \d+\n$/);
    expect(stderr).toBe(''); // -q wins
    const shown = await emu('imagine', 'a', '-o', join(folder, 'a.png'), '--progress', 'json');
    const phases = jsonLines(shown.stderr).map(({ type, phase }) => [type, phase]);
    expect(phases).toContainEqual(['progress', 'denoise']);
  });

  it.each([
    [['--width', '100'], 'width must be a multiple of 8, got 100\n     The nearest is 104.'],
    [['--steps', '0'], '[imagine] steps must be'],
    [['--guidance-scale', 'Infinity'], '[imagine] guidanceScale must be'],
  ])('refuses %j with 2, and writes nothing', async (flags, why) => {
    const output = join(folder, 'refused.png');
    const { status, stdout, stderr } = await emu('imagine', 'a', '-o', output, ...flags);
    expect(stderr).toContain(why);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(existsSync(output)).toBe(false);
  });

  it('refuses a folder as output before it works', async () => {
    const output = join(folder, 'folder.png');
    await mkdir(output);
    const { status, stderr } = await emu('imagine', 'a', '-o', output);
    expect(status).toBe(2);
    expect(stderr).toContain(`--output ${output} cannot be written: it is a folder`);
  });

  it('stops at a step with 130 and leaves no file', async () => {
    const output = join(folder, 'stopped.png');
    const signal = AbortSignal.timeout(30);
    const stop = new AbortController();
    signal.addEventListener('abort', () => {
      stop.abort(new SignalStop('SIGINT'));
    });
    const args = ['imagine', '--model', model, 'a', '-o', output, '--steps', '1000'];
    const stopped = await commandResult(args, { signal: stop.signal });
    expect(stopped).toEqual({ status: 130, stdout: '', stderr: 'emu: stopped by SIGINT\n' });
    expect(existsSync(output)).toBe(false);
  });
});

describe('emu blend', () => {
  it('blends two pictures and refuses one', async () => {
    const pictures = [await writePicture(folder, 'one.png', 5), await writePicture(folder, 'two.png', 11)];
    const output = join(folder, 'both.png');
    const blended = await emu('blend', '--json', ...pictures, '-o', output, '--seed', '1');
    expect(blended).toMatchObject({ status: 0, stderr: '' });
    expect(jsonLines(blended.stdout)).toEqual([{ output, width: 64, height: 32, seed: 1, flagged: false }]);
    const one = await emu('blend', pictures[0] ?? '', '-o', output);
    expect(one.status).toBe(2);
    expect(one.stderr).toContain('[blend] at least 2 pictures are needed, got 1');
  });
});
