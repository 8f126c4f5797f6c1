import { randomUUID } from 'node:crypto';

import { FinishReason, GenerationService, type GenerateResponse } from '@emu/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { failureOf, TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';

const { generate, cancelGeneration } = GenerationService.method;
let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let client: TestClient;

beforeAll(async () => {
  model = await openSmallModel();
  server = createServer({ models: { small: model.emu }, port: 0, metricsPort: 0, logLevel: 'silent' });
  await server.start();
  client = new TestClient(server.address ?? '');
});

afterAll(async () => {
  client.close();
  await server.drain({ graceMs: 0 });
  await model.close();
});

const request = (text: string, maxNewTokens: number, more: object = {}): object => ({
  input: { case: 'prompt', value: { parts: [{ data: { case: 'text', value: text } }] } },
  // The end token is held off, so that a long request is long.
  sampling: { maxNewTokens, minNewTokens: maxNewTokens, numBeams: 1 },
  ...more,
});
const long = (more: object = {}): object => request('a long story', 1900, more);

function textOf(events: readonly GenerateResponse[]): string {
  return events.map(({ event }) => (event.case === 'text' ? event.value.text : '')).join('');
}

function idOf(events: readonly GenerateResponse[]): string {
  const [started] = events.flatMap(({ event }) => (event.case === 'started' ? [event.value] : []));
  return started?.generationId ?? '';
}

/** Waits until nothing holds a place in the cache; tells how long that took. */
async function untilFree(limitMs: number): Promise<number> {
  const start = performance.now();
  while (model.emu.statistics().sequences.held > 0) {
    if (performance.now() - start > limitMs) throw new Error(`places are still held after ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - start;
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://${server.metricsAddress ?? ''}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(name));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

async function take(stream: AsyncGenerator<GenerateResponse>, count: number): Promise<GenerateResponse[]> {
  const events: GenerateResponse[] = [];
  for await (const event of stream) {
    events.push(event);
    if (events.length >= count) break;
  }
  return events;
}

describe('the end of a call', () => {
  it('a cancelled call frees its place', async () => {
    await take(client.stream(generate, long()), 5);
    expect(await untilFree(2000)).toBeLessThan(1000);
  });

  it('a client that dies frees its place', async () => {
    const other = new TestClient(server.address ?? '');
    const call = other.open(generate, long());
    call.on('error', () => undefined);
    await new Promise((resolve) => call.once('data', resolve));
    expect(model.emu.statistics().sequences.held).toBeGreaterThan(0);
    other.close();
    call.cancel();
    expect(await untilFree(2000)).toBeLessThan(1000);
  });

  it('a deadline ends the call with DEADLINE_EXCEEDED and frees its place', async () => {
    const failure = await failureOf(client.collect(generate, long(), { deadline: Date.now() + 150 }));
    expect(failure.code).toBe('DEADLINE_EXCEEDED');
    await untilFree(2000);
  });

  it('three hundred cancelled calls leave nothing behind', async () => {
    const runs = Array.from({ length: 300 }, (_, index) =>
      take(client.stream(generate, long({ seed: index })), 1 + (index % 3)),
    );
    await Promise.all(runs);
    await untilFree(10_000);
    expect(await metric('emu_generations{')).toBe(0);
    expect(await metric('emu_unread_bytes')).toBe(0);
  });

  it('three hundred cancelled calls that could be repeated leave nothing behind either', async () => {
    const runs = Array.from({ length: 300 }, (_, index) =>
      take(client.stream(generate, long({ seed: index, requestId: randomUUID() })), 1 + (index % 3)),
    );
    await Promise.all(runs);
    await untilFree(10_000);
    for (const name of [
      'emu_generations{',
      'emu_unread_bytes',
      'emu_generations_kept ',
      'emu_generations_kept_bytes',
    ])
      expect({ [name]: await metric(name) }).toEqual({ [name]: 0 });
  });

  it('calls that were cancelled by name can be resumed, and are gone after their retention', async () => {
    const runs = Array.from({ length: 60 }, async (_, index) => {
      const events: GenerateResponse[] = [];
      for await (const event of client.stream(generate, long({ seed: index, retention: { seconds: 2n } }))) {
        events.push(event);
        if (events.length === 2) await client.unary(cancelGeneration, { generationId: idOf(events) });
      }
      return events;
    });
    const [first] = await Promise.all(runs);
    expect(await metric('emu_generations_kept ')).toBe(60);
    expect(await metric('emu_generations_kept_bytes')).toBeLessThan(60 * 100_000);
    const resume = { input: { case: 'resume', value: { generationId: idOf(first ?? []) } } };
    expect(await client.collect(generate, resume)).toEqual(first);
    await expect.poll(() => metric('emu_generations_kept '), { timeout: 10_000 }).toBe(0);
    for (const name of ['emu_generations_kept_bytes', 'emu_unread_bytes'])
      expect({ [name]: await metric(name) }).toEqual({ [name]: 0 });
  });

  it('a reader that does not read costs little and slows nobody; its text is all there when it reads on', async () => {
    const stalled = Array.from({ length: 4 }, (_, index) => client.open(generate, long({ seed: index })));
    for (const call of stalled) {
      call.pause();
      call.on('error', () => undefined);
    }
    const events = await client.collect(generate, request('quick', 50));
    expect(events.at(-1)?.event.case).toBe('finished');
    const [first, ...others] = stalled;
    for (const call of others) call.cancel();
    const whole = await model.emu
      .generate('a long story', { maxNewTokens: 1900, minNewTokens: 1900, numBeams: 1 })
      .text();
    expect(await metric('emu_unread_bytes')).toBeLessThan(2 ** 20);
    let bytes = 0;
    for await (const message of first ?? []) bytes += (message as Buffer).length;
    expect(bytes).toBeGreaterThanOrEqual(Buffer.byteLength(whole));
    await untilFree(5000);
  });

  it('CancelGeneration ends the stream with what there is', async () => {
    const events: GenerateResponse[] = [];
    for await (const event of client.stream(generate, long())) {
      events.push(event);
      if (events.length === 3) await client.unary(cancelGeneration, { generationId: idOf(events) });
    }
    const last = events.at(-1)?.event;
    expect(last?.case === 'finished' && last.value.reason).toBe(FinishReason.CANCELLED);
    await client.unary(cancelGeneration, { generationId: 'of nobody' });
  });
});

describe('a repeated request', () => {
  it('joins the first call and gets its events from the first on', async () => {
    const requestId = randomUUID();
    const same = request('twice', 40, { requestId, sampling: { maxNewTokens: 40, temperature: 1 } });
    const [one, two] = await Promise.all([client.collect(generate, same), client.collect(generate, same)]);
    const three = await client.collect(generate, same);
    expect(idOf(one)).not.toBe('');
    expect([idOf(two), idOf(three)]).toEqual([idOf(one), idOf(one)]);
    expect([textOf(two), textOf(three)]).toEqual([textOf(one), textOf(one)]);
    const failure = await failureOf(client.collect(generate, request('other', 5, { requestId })));
    expect({ code: failure.code, reason: failure.info?.reason }).toEqual({
      code: 'ALREADY_EXISTS',
      reason: 'REQUEST_CONFLICT',
    });
  });
});

describe('a lost stream', () => {
  it('goes on after the last event that arrived', async () => {
    const text = request('resumed', 200, { retention: { seconds: 30n } });
    const before = await take(client.stream(generate, text), 6);
    const after = await client.collect(generate, {
      input: {
        case: 'resume',
        value: { generationId: idOf(before), afterSequence: before.at(-1)?.sequence },
      },
    });
    const whole = await client.collect(generate, request('resumed', 200));
    expect(textOf(before) + textOf(after)).toBe(textOf(whole));
    expect(after[0]?.sequence).toBe((before.at(-1)?.sequence ?? 0n) + 1n);
    const again = await client.collect(generate, {
      input: { case: 'resume', value: { generationId: idOf(before) } },
    });
    expect(textOf(again)).toBe(textOf(whole));
  });

  it('is gone without retention, and a cursor beyond its end is refused', async () => {
    const before = await take(client.stream(generate, long()), 3);
    await untilFree(2000);
    const resume = { input: { case: 'resume', value: { generationId: idOf(before), afterSequence: 3n } } };
    const failure = await failureOf(client.collect(generate, resume));
    expect({ code: failure.code, reason: failure.info?.reason }).toEqual({
      code: 'OUT_OF_RANGE',
      reason: 'CURSOR_EXPIRED',
    });
    const kept = await client.collect(generate, request('kept', 5, { retention: { seconds: 30n } }));
    const beyond = { input: { case: 'resume', value: { generationId: idOf(kept), afterSequence: 10_000n } } };
    expect((await failureOf(client.collect(generate, beyond))).info?.reason).toBe('CURSOR_EXPIRED');
  });
});

describe('determinism', () => {
  it('64 different requests at once give what they give one by one', async () => {
    const requests = Array.from({ length: 64 }, (_, index) => {
      const sampling =
        index % 3 === 0 ? { numBeams: 1 } : index % 3 === 1 ? { temperature: 1 } : { numBeams: 3 };
      return request(`request ${index}`, 8 + (index % 9), {
        seed: BigInt(index),
        sampling: { ...sampling, maxNewTokens: 8 + (index % 9) },
      });
    });
    const together = await Promise.all(requests.map((each) => client.collect(generate, each)));
    const alone: string[] = [];
    for (const each of requests) alone.push(textOf(await client.collect(generate, each)));
    expect(together.map(textOf)).toEqual(alone);
  });
});
