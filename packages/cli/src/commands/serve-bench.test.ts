import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createServer, type EmuServer } from '@emu/grpc-server';
import { Emu } from '@emu/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { commandResult, jsonLines } from '../testing/command-result.js';
import { makeSmallModel } from '../testing/small-model.js';

const main = join(import.meta.dirname, '../../dist/main.js');
const built = existsSync(main);
if (!built) console.warn(`${main} is not built; a server that the command starts itself is not tested`);

let folder = '';
let model = '';
let emu: Emu;
let server: EmuServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-bench-serve-'));
  model = join(folder, 'small');
  await makeSmallModel(model);
  emu = await Emu.fromPretrained(model, { threads: 2 });
  server = createServer({ models: { small: emu }, port: 0, logLevel: 'silent' });
  await server.start();
});
afterAll(async () => {
  await server.drain({ graceMs: 0 });
  await emu.dispose();
  await rm(folder, { recursive: true, force: true });
});

const keys = [
  'streams',
  'tokens_per_second',
  'engine_tokens_per_second',
  'ttft_ms_p50',
  'ttft_ms_p99',
  'itl_ms_p50',
  'itl_ms_p99',
  'images_per_minute',
  'errors',
];
const address = (): string => `grpc://${server.address ?? ''}`;
const short = ['--tokens', '8', '--seconds', '0.8'];

describe('emu bench serve', () => {
  it('tells one object per level, of the server and of the engine', async () => {
    const { status, stdout, stderr } = await commandResult([
      ...['bench', 'serve', '--server', address(), '--model', model, '--streams', '1,4'],
      ...[...short, '--steps', '2', '--json', '-q'],
    ]);
    expect(status, stderr).toBe(0);
    const lines = jsonLines(stdout);
    expect(lines.map(({ streams }) => streams)).toEqual([1, 4]);
    for (const line of lines) {
      expect(Object.keys(line).sort()).toEqual([...keys].sort());
      expect(line['errors']).toBe(0);
      for (const key of keys.filter((name) => name !== 'errors')) expect(line[key], key).toBeGreaterThan(0);
      expect(Number(line['ttft_ms_p99'])).toBeGreaterThanOrEqual(Number(line['ttft_ms_p50']));
      expect(Number(line['itl_ms_p99'])).toBeGreaterThanOrEqual(Number(line['itl_ms_p50']));
    }
  });

  it('counts from when a request was due, so that a rate beyond the server shows', async () => {
    const { status, stdout, stderr } = await commandResult([
      ...['bench', 'serve', '--server', address(), '--streams', '1', '--rate', '5000'],
      ...[...short, '--steps', '0', '--json', '-q'],
    ]);
    expect(status, stderr).toBe(0);
    const [line] = jsonLines(stdout);
    expect(line).toMatchObject({ engine_tokens_per_second: null, images_per_minute: null, errors: 0 });
    // One stream serves one request after another while 5000 a second come: nearly the whole time was waited.
    expect(Number(line?.['ttft_ms_p99'])).toBeGreaterThan(300);
  });

  it('sends what the rate says and no more', async () => {
    const { stdout } = await commandResult([
      ...['bench', 'serve', '--server', address(), '--streams', '4', '--rate', '10'],
      ...['--tokens', '4', '--seconds', '2', '--steps', '0', '--json', '-q'],
    ]);
    const [line] = jsonLines(stdout);
    expect(Number(line?.['tokens_per_second'])).toBeGreaterThan(4);
    expect(Number(line?.['tokens_per_second'])).toBeLessThan(120);
  });

  it('prints a table for people', async () => {
    const { stdout } = await commandResult([
      ...['bench', 'serve', '--server', address(), '--streams', '2', ...short, '--steps', '0', '-q'],
    ]);
    expect(stdout).toMatch(/^ *streams +tokens\/s +engine .*errors\n +2 +[\d.]+ +- .* +- +0\n$/);
  });

  it.each([
    [['--streams', '1,x'], 'It must be whole numbers in 1..4096'],
    [['--tokens', '1'], '[bench serve] --tokens must be a whole number in 2..4096, got 1'],
    [['--seconds', '0'], '[bench serve] --seconds must be a number in 0.1..86400, got 0'],
    [['--steps', '-1'], '[bench serve] --steps must be a whole number in 0..1000, got -1'],
    [['--rate', '0'], '[bench serve] --rate must be a number in 0.001..1000000, got 0'],
    [['--server', 'localhost:1'], '"localhost:1" is not the address of a server'],
  ])('refuses %j', async (flags, words) => {
    const { status, stdout, stderr } = await commandResult([
      ...['bench', 'serve', '--server', address(), ...flags],
    ]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(words);
  });

  it('ends with 5 when nobody listens', async () => {
    const { status, stderr } = await commandResult([
      'bench',
      'serve',
      '--server',
      'grpc://127.0.0.1:1',
      '-q',
    ]);
    expect(status).toBe(5);
    expect(stderr).toContain('SERVER_UNREACHABLE');
  });

  it.skipIf(!built)('starts the server itself, and stops it', async () => {
    const args = ['bench', 'serve', '--model', model, '--streams', '2', ...short, '--steps', '0', '--json'];
    const child = spawn(process.execPath, [main, ...args]);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect(status, stderr).toBe(0);
    expect(jsonLines(stdout)).toEqual([expect.objectContaining({ streams: 2, errors: 0 })]);
  });
});
