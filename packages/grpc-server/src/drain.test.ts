import { GenerationService, health, MediaService, ModelService, type GenerateResponse } from '@emu/proto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { failureOf, RpcFailure, TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';

const { generate } = GenerationService.method;
const { check } = health.Health.method;
let model: Awaited<ReturnType<typeof openSmallModel>>;
beforeAll(async () => {
  model = await openSmallModel();
});
afterAll(() => model.close());

async function started(): Promise<{ readonly server: EmuServer; readonly client: TestClient }> {
  const server = createServer({ models: { small: model.emu }, port: 0, metricsPort: 0, logLevel: 'silent' });
  await server.start();
  return { server, client: new TestClient(server.address ?? '') };
}

const request = (maxNewTokens: number): object => ({
  input: { case: 'prompt', value: { parts: [{ data: { case: 'text', value: 'a story' } }] } },
  sampling: { maxNewTokens, minNewTokens: maxNewTokens, numBeams: 1 },
});

type Outcome = { readonly events: readonly GenerateResponse[] } | { readonly failure: RpcFailure };

/** 32 streams that all have begun, and how each ends. */
async function thirtyTwo(client: TestClient, tokens: number): Promise<readonly Promise<Outcome>[]> {
  const begun: Promise<void>[] = [];
  const outcomes = Array.from({ length: 32 }, () => {
    let begin: () => void = () => undefined;
    begun.push(new Promise<void>((resolve) => (begin = resolve)));
    const run = async (): Promise<Outcome> => {
      const events: GenerateResponse[] = [];
      try {
        for await (const event of client.stream(generate, request(tokens))) {
          events.push(event);
          begin();
        }
        return { events };
      } catch (failure) {
        if (failure instanceof RpcFailure) return { failure };
        throw failure;
      }
    };
    return run();
  });
  await Promise.all(begun);
  return outcomes;
}

describe('drain', () => {
  it('turns health first and takes calls while the notice lasts', async () => {
    const { server, client } = await started();
    // The notice lasts until the test says so: on a busy machine a few calls may take longer than any time named here.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldClearNativeTimers: true });
    let drained: Promise<void>;
    try {
      drained = server.drain({ noticeMs: 3_600_000 });
      expect((await client.unary(check, { service: 'emu.v1.GenerationService' })).status).toBe(2);
      expect((await fetch(`http://${server.metricsAddress ?? ''}/healthz`)).status).toBe(503);
      expect((await client.collect(generate, request(1))).at(-1)?.event.case).toBe('finished');
      vi.advanceTimersByTime(3_600_000);
    } finally {
      vi.useRealTimers();
    }
    await drained;
    client.close();
  });

  it('refuses with details as long as a call is open, whatever has finished, and lets it finish', async () => {
    const { server, client } = await started();
    const upload = client.openUpload(MediaService.method.uploadMedia);
    const streams = await thirtyTwo(client, 100);
    const drained = server.drain({ graceMs: 60_000 });
    const refused = async (): Promise<void> => {
      const failure = await failureOf(client.collect(generate, request(1)));
      expect({ code: failure.code, reason: failure.info?.reason }).toEqual({
        code: 'UNAVAILABLE',
        reason: 'SERVER_DRAINING',
      });
      expect(failure.retry?.retryDelay?.seconds).toBe(1n);
    };
    await refused();
    const { getServerInfo } = ModelService.method;
    expect((await client.unary(getServerInfo, {})).draining).toBe(true);
    for (const outcome of await Promise.all(streams)) {
      expect('events' in outcome && outcome.events.at(-1)?.event.case).toBe('finished');
    }
    await refused();
    const data = Buffer.from('a picture');
    upload.send([
      { data: { case: 'start', value: { uploadId: 'late', sizeBytes: BigInt(data.length) } } },
      { data: { case: 'chunk', value: data } },
    ]);
    expect((await upload.answer).name).toMatch(/^media\//);
    await drained;
    client.close();
  });

  it('ends calls that are no generations with UNAVAILABLE and details too, once the grace is over', async () => {
    const { server, client } = await started();
    const upload = client.openUpload(MediaService.method.uploadMedia);
    await client.unary(check, {}); // the server has the upload: it came before on the same connection
    const failure = failureOf(upload.answer);
    await server.drain({ graceMs: 50 });
    const { code, info } = await failure;
    expect({ code, reason: info?.reason }).toEqual({ code: 'UNAVAILABLE', reason: 'SERVER_DRAINING' });
    client.close();
  });

  it('ends streams that outlast the grace with UNAVAILABLE and details', async () => {
    const { server, client } = await started();
    const streams = await thirtyTwo(client, 1900);
    await server.drain({ graceMs: 50 });
    const outcomes = await Promise.all(streams);
    const reasons = outcomes.map((outcome) =>
      'failure' in outcome ? `${outcome.failure.code} ${outcome.failure.info?.reason ?? ''}` : 'finished',
    );
    expect(new Set(reasons)).toEqual(new Set(['UNAVAILABLE SERVER_DRAINING']));
    expect(model.emu.statistics().sequences.held).toBe(0);
    client.close();
  });

  it('cuts streams of health that have no end', async () => {
    const { server, client } = await started();
    const seen: number[] = [];
    const watch = (async () => {
      for await (const { status } of client.stream(health.Health.method.watch, {})) seen.push(status);
    })().catch(() => undefined);
    await expect.poll(() => seen).toEqual([1]);
    await server.drain({ graceMs: 0 });
    await watch;
    expect(seen).toEqual([1, 2]);
    client.close();
  });
});
