import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Emu, EmuError, type RemoteEmu } from '@emu/sdk';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { makeSmallModel } from '../testing/small-model.js';

// What a process does with signals, and a server with the death of a client, can only be seen on processes.
const main = join(import.meta.dirname, '../../dist/main.js');
const built = existsSync(main);
if (!built) console.warn(`${main} is not built; SIGTERM to a server and kill -9 of a client are not tested`);

let folder = '';
let model = '';
const children: ChildProcess[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-serve-process-'));
  model = join(folder, 'small');
  if (built) await makeSmallModel(model);
  if (built) await lengthenContext();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** So that a text can be under way for seconds; nothing in the weights depends on the length. */
async function lengthenContext(): Promise<void> {
  const path = join(model, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as { emu: { llama: { contextLength: number } } };
  config.emu.llama.contextLength = 2048;
  await writeFile(path, JSON.stringify(config));
}

interface ServeProcess {
  readonly child: ChildProcess;
  readonly address: string;
  readonly metricsAddress: string;
  /** Exit status, or the signal that ended it, and what it wrote to stderr. */
  readonly exit: Promise<{ readonly status: number | string | null; readonly stderr: string }>;
}

async function serve(...flags: readonly string[]): Promise<ServeProcess> {
  const common = ['--port', '0', '--metrics-port', '0', '--json', '-q', '--log-level', 'warn'];
  const args = ['serve', '--model', model, '--threads', '1', ...common, ...flags];
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const exit = new Promise<Awaited<ServeProcess['exit']>>((resolve) => {
    child.once('close', (code, signal) => {
      resolve({ status: code ?? signal, stderr });
    });
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve);
    void exit.then(({ stderr: log }) => {
      reject(new Error(`emu serve ended: ${log}`));
    });
  });
  const { address, metricsAddress } = JSON.parse(line) as Pick<ServeProcess, 'address' | 'metricsAddress'>;
  return { child, address, metricsAddress, exit };
}

/** A client that takes every failure as it comes. */
function connected({ address }: ServeProcess): Promise<RemoteEmu> {
  return Emu.connect(`grpc://${address}`, { retries: 0, reconnectSeconds: 0 });
}

async function metric({ metricsAddress }: ServeProcess, name: string): Promise<number> {
  const text = await (await fetch(`http://${metricsAddress}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

const isHealthy = async ({ metricsAddress }: ServeProcess): Promise<boolean> =>
  (await fetch(`http://${metricsAddress}/healthz`)).ok;

/** 32 texts that all have begun (together they must fit into the cache), and how each ends: "finished", or the status and code of its failure. */
async function thirtyTwo(
  emu: RemoteEmu,
  tokens: number,
): Promise<{ readonly outcomes: readonly Promise<string>[]; readonly underWay: () => number }> {
  let left = 32;
  const begun: Promise<void>[] = [];
  const outcomes = Array.from({ length: 32 }, async (_, index): Promise<string> => {
    let begin: () => void = () => undefined;
    begun.push(new Promise((resolve) => (begin = resolve)));
    const options = { maxNewTokens: tokens, minNewTokens: tokens, numBeams: 1, seed: index } as const;
    try {
      const stream = emu.generate('a story', options);
      for await (const event of stream) if (event.type === 'text') begin();
      const { finishReason, usage } = await stream.result();
      return `${finishReason} ${usage.completionTokens}`;
    } catch (error) {
      if (!EmuError.isInstance(error)) throw error;
      return `${error.status} ${error.code}`;
    } finally {
      left -= 1;
    }
  });
  await Promise.all(begun);
  return { outcomes, underWay: () => left };
}

describe.skipIf(!built)(
  'a served model that gets SIGTERM with 32 streams in flight',
  { timeout: 90_000 },
  () => {
    it('turns health first, lets all finish, and ends with 0', async () => {
      const server = await serve('--grace', '80', '--notice', '5');
      const emu = await connected(server);
      const { outcomes, underWay } = await thirtyTwo(emu, 600);
      expect(await isHealthy(server)).toBe(true);
      server.child.kill('SIGTERM');
      await expect.poll(() => isHealthy(server), { interval: 10, timeout: 5000 }).toBe(false);
      expect(underWay()).toBe(32); // health turned before anything else ended
      // Within the notice calls are still taken.
      await emu.generate('late', { maxNewTokens: 1, numBeams: 1 }).result();
      expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['length 600']));
      expect(await server.exit).toEqual({ status: 0, stderr: '' });
      await emu.dispose();
    });

    it('ends those that outlast the grace with UNAVAILABLE and SERVER_DRAINING, and ends with 0', async () => {
      const server = await serve('--grace', '0.1');
      const emu = await connected(server);
      const { outcomes } = await thirtyTwo(emu, 900);
      server.child.kill('SIGTERM');
      expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['UNAVAILABLE SERVER_DRAINING']));
      const { status, stderr } = await server.exit;
      expect(status).toBe(0);
      expect(stderr).toContain('the grace is over, calls under way are ended');
      await emu.dispose();
    });
  },
);

describe.skipIf(!built)('a client that is killed mid-stream', { timeout: 60_000 }, () => {
  it('frees its slot at once, and the model runs no further', async () => {
    const server = await serve();
    const script = `
      const { Emu } = await import('@emu/sdk');
      const emu = await Emu.connect('grpc://${server.address}');
      const options = { maxNewTokens: 1900, minNewTokens: 1900, numBeams: 1, seed: 1 };
      for await (const event of emu.generate('a story', options)) console.log(event.type);`;
    const args = ['--input-type=module', '--eval', script];
    const client = spawn(process.execPath, args, {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(client);
    await new Promise<void>((resolve) => {
      createInterface(client.stdout).on('line', (line) => {
        if (line === 'text') resolve();
      });
    });
    expect(await metric(server, 'emu_kv_cache_sequences_held')).toBe(1);
    client.kill('SIGKILL');
    const killedAt = performance.now();
    await expect.poll(() => metric(server, 'emu_kv_cache_sequences_held'), { interval: 2 }).toBe(0);
    expect(performance.now() - killedAt).toBeLessThan(1000);
    expect(await metric(server, 'emu_generations')).toBe(0);
    expect(await metric(server, 'emu_kv_cache_pages_held')).toBe(0);
    const runs = await metric(server, 'emu_model_runs');
    expect(runs).toBeLessThan(1900);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await metric(server, 'emu_model_runs')).toBe(runs);
    server.child.kill('SIGTERM');
    expect(await server.exit).toEqual({ status: 0, stderr: '' });
  });
});
