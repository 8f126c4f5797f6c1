import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { GenerationService, type GenerateResponse } from '@emu/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { anonymous, clientOf } from './access/caller.js';
import { createServer, type EmuServer, type ServerOptions } from './index.js';
import { failureOf, TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';

const { generate } = GenerationService.method;
const keys = { crowd: 'key-of-the-crowd-00', single: 'key-of-the-single-0' };
let model: Awaited<ReturnType<typeof openSmallModel>>;
let folder = '';
let keyFile = '';
beforeAll(async () => {
  // One place in the cache, so that every other call waits; four may.
  model = await openSmallModel({ cacheSlots: 1, queueLimit: 4 });
  folder = await mkdtemp(join(tmpdir(), 'emu-contention-'));
  keyFile = join(folder, 'keys.json');
  const list = Object.entries(keys).map(([name, key]) => ({ name, key, scopes: ['generate'] }));
  await writeFile(keyFile, JSON.stringify({ keys: list }));
}, 60_000);
afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true, force: true });
});

const request = (maxNewTokens: number): object => ({
  input: { case: 'prompt', value: { parts: [{ data: { case: 'text', value: 'a story' } }] } },
  sampling: { maxNewTokens, minNewTokens: maxNewTokens, numBeams: 1 },
});

async function withServer(
  options: Omit<ServerOptions, 'models'>,
  work: (server: EmuServer) => Promise<void>,
): Promise<void> {
  const server = createServer({
    models: { small: model.emu },
    port: 0,
    metricsPort: 0,
    logLevel: 'silent',
    ...options,
  });
  await server.start();
  try {
    await work(server);
  } finally {
    await server.drain({ graceMs: 0 });
  }
}

/** Takes the only place in the cache until the result is called. */
async function holdPlace(): Promise<() => Promise<void>> {
  const controller = new AbortController();
  const held = model.emu.generate('a long story', {
    ...{ maxNewTokens: 1900, minNewTokens: 1900, numBeams: 1 },
    ...{ signal: controller.signal, onAbort: 'return' },
  });
  const done = held.result();
  await expect.poll(() => model.emu.statistics().sequences.held, { timeout: 10_000 }).toBe(1);
  return async () => {
    controller.abort();
    await done;
  };
}

const waiting = (count: number): Promise<void> =>
  expect.poll(() => model.emu.statistics().queued, { timeout: 10_000 }).toBe(count);

async function metric(server: EmuServer, name: string): Promise<number> {
  const text = await (await fetch(`http://${server.metricsAddress ?? ''}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

describe('clients that want more than there is', { timeout: 60_000 }, () => {
  it('take turns: a single call of one key goes before the queue of another', async () => {
    await withServer({ keyFile }, async (server) => {
      const crowd = new TestClient(server.address ?? '', { key: keys.crowd });
      const single = new TestClient(server.address ?? '', { key: keys.single });
      const order: string[] = [];
      const run = async (client: TestClient, name: string): Promise<readonly GenerateResponse[]> => {
        // Long enough that the ends of two connections' calls are told in the order in which they were.
        const events = await client.collect(generate, request(100));
        order.push(name);
        return events;
      };
      const release = await holdPlace();
      const calls: Promise<readonly GenerateResponse[]>[] = [];
      for (const index of [1, 2, 3]) {
        calls.push(run(crowd, `crowd ${index}`));
        await waiting(index);
      }
      calls.push(run(single, 'single'));
      await waiting(4);
      expect(await metric(server, 'emu_queue_depth')).toBe(4);
      expect(await metric(server, 'emu_kv_cache_sequences_held')).toBe(1);
      expect(await metric(server, 'emu_kv_cache_sequences')).toBe(1);
      await release();
      const [first] = await Promise.all(calls);
      expect(order).toEqual(['crowd 1', 'single', 'crowd 2', 'crowd 3']);
      expect(first?.[0]?.event.case).toBe('queued');
      expect(await metric(server, 'emu_kv_cache_sequences_held')).toBe(0);
      expect(await metric(server, 'emu_model_rows')).toBeGreaterThanOrEqual(
        await metric(server, 'emu_model_runs'),
      );
      crowd.close();
      single.close();
    });
  });

  it('are told QUEUE_FULL and when to try again, by the limit of the model and by that of the server', async () => {
    const full = { code: 'RESOURCE_EXHAUSTED', reason: 'QUEUE_FULL', domain: 'emu-sdk', seconds: 1n };
    const overflow = async (server: EmuServer, accepted: number): Promise<string> => {
      const client = new TestClient(server.address ?? '');
      const release = await holdPlace();
      const calls: Promise<unknown>[] = [];
      for (let index = 1; index <= accepted; index++) {
        calls.push(client.collect(generate, request(2)));
        await waiting(index);
      }
      const { code, info, retry, message } = await failureOf(client.collect(generate, request(2)));
      const { reason, domain } = info ?? {};
      expect({ code, reason, domain, seconds: retry?.retryDelay?.seconds }).toEqual(full);
      expect(info?.metadata['hint']).toMatch(/^Try again/);
      await release();
      await Promise.all(calls); // who waited is served
      await client.collect(generate, request(2));
      client.close();
      return message;
    };
    await withServer({}, async (server) => {
      expect(await overflow(server, 4)).toBe('[kv cache] 4 calls wait already, which is the limit');
    });
    await withServer({ limits: { maxQueued: 2 } }, async (server) => {
      expect(await overflow(server, 2)).toBe('[generate] 2 generations are under way, which is the limit');
    });
  });

  it('are told MODEL_NOT_READY while it warms up', async () => {
    const release = await holdPlace(); // what warms up waits for the place
    const server = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent' });
    const started = server.start();
    await expect.poll(() => server.address, { timeout: 10_000 }).toBeDefined();
    const client = new TestClient(server.address ?? '');
    const { code, info, retry } = await failureOf(client.collect(generate, request(2)));
    expect({ code, reason: info?.reason, hint: info?.metadata['hint'] }).toEqual({
      code: 'FAILED_PRECONDITION',
      reason: 'MODEL_NOT_READY',
      hint: 'Wait until grpc.health.v1.Health says SERVING.',
    });
    expect(retry?.retryDelay?.seconds).toBe(1n);
    await release();
    await started;
    expect((await client.collect(generate, request(2))).at(-1)?.event.case).toBe('finished');
    client.close();
    await server.drain({ graceMs: 0 });
  });
});

describe('a client', () => {
  it('is its key, else its machine, whatever the connection', () => {
    expect(clientOf({ ...anonymous, name: 'web' }, '10.0.0.7:5000')).toBe('web');
    expect(clientOf(anonymous, '10.0.0.7:5000')).toBe(clientOf(anonymous, '10.0.0.7:6000'));
    expect(clientOf(anonymous, '10.0.0.7:5000')).not.toBe(clientOf(anonymous, '10.0.0.8:5000'));
    expect(clientOf(anonymous, '[::1]:5000')).toBe('peer [::1]');
  });
});
