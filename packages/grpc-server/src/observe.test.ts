import fs from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EmbeddingService, GenerationService, MediaService, OutputModality } from '@emu/proto';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { failureOf, TestClient } from './testing/client.js';
import { stripes } from './testing/pictures.js';
import { recordSpans } from './testing/recorded-spans.js';
import { openSmallModel } from './testing/small-model.js';

const { generate, countTokens } = GenerationService.method;
const { score } = EmbeddingService.method;
const { uploadMedia } = MediaService.method;
const key = 'a-key-that-nobody-may-read';
const secret = 'xylophone';
let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let client: TestClient;
let folder = '';
const recording = recordSpans();
/** What the server wrote to stderr. */
const written: string[] = [];

beforeAll(async () => {
  model = await openSmallModel();
  folder = await mkdtemp(join(tmpdir(), 'emu-observe-'));
  const keyFile = join(folder, 'keys.json');
  await writeFile(keyFile, JSON.stringify({ keys: [{ name: 'team', key, scopes: ['admin'] }] }));
  // The log goes to the descriptor itself, past process.stderr.
  const { writeSync } = fs;
  vi.spyOn(fs, 'writeSync').mockImplementation(((file: number, data: string, ...rest: never[]) => {
    if (file !== 2) return writeSync(file, data, ...rest);
    written.push(data);
    return Buffer.byteLength(data);
  }) as typeof fs.writeSync);
  server = createServer({ models: { small: model.emu }, port: 0, keyFile, logLevel: 'info' });
  await server.start();
  client = new TestClient(server.address ?? '', { key });
});
afterAll(async () => {
  client.close();
  await server.drain({ graceMs: 0 });
  vi.restoreAllMocks();
  recording.stop();
  await model.close();
  await rm(folder, { recursive: true, force: true });
});

const part = (text: string): object => ({ data: { case: 'text', value: text } });
const request = (text: string, maxNewTokens = 24): object => ({
  input: { case: 'prompt', value: { parts: [part(text)] } },
  sampling: { maxNewTokens, minNewTokens: maxNewTokens, numBeams: 1 },
});

/** The log's lines of calls of a method, parsed. */
function callLines(method: string): readonly Record<string, unknown>[] {
  return written
    .join('')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['msg'] === 'call' && String(line['method']).endsWith(`/${method}`));
}

const spansOf = (method: string) => recording.spans.filter(({ name }) => name.endsWith(`/${method}`));

describe('a call', () => {
  it('is a span with what it used, and the same in the log under its request id', async () => {
    const events = await client.collect(generate, request('a story'));
    expect(events.at(-1)?.event.case).toBe('finished');
    await expect.poll(() => spansOf('Generate').at(-1)?.ends).toBe(1);
    const span = spansOf('Generate').at(-1);
    const started = events[0]?.event;
    const used = {
      'gen_ai.system': 'emu',
      'gen_ai.operation.name': 'generate_content',
      'gen_ai.request.model': 'models/small',
      'gen_ai.response.id': started?.case === 'started' ? started.value.generationId : '',
      'gen_ai.response.finish_reasons': ['length'],
      'gen_ai.usage.input_tokens': expect.any(Number) as number,
      'gen_ai.usage.output_tokens': 24,
    };
    expect(span).toMatchObject({
      name: 'emu.v1.GenerationService/Generate',
      kind: SpanKind.SERVER,
      parent: undefined,
      status: undefined,
      toldAfterEnd: 0,
    });
    expect(span?.attributes).toEqual({
      'rpc.system': 'grpc',
      'rpc.service': 'emu.v1.GenerationService',
      'rpc.method': 'Generate',
      'rpc.grpc.status_code': 0,
      'emu.request_id': expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      ...used,
    });
    expect(callLines('Generate').at(-1)).toMatchObject({
      ...{ level: 30, service: 'emu', caller: 'team', code: 'OK', ...used },
      requestId: span?.attributes['emu.request_id'],
      seconds: expect.any(Number) as number,
    });
  });

  it("is a child of its caller's span, with its caller's request id", async () => {
    const metadata = new Metadata();
    const [traceId, spanId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
    metadata.set('traceparent', `00-${traceId}-${spanId}-01`);
    metadata.set('x-request-id', 'mine-1');
    metadata.set('authorization', `Bearer ${key}`);
    const same = (bytes: Buffer): Buffer => bytes;
    const path = '/emu.v1.ModelService/ListModels';
    await new Promise<void>((resolve, reject) => {
      client.channel.makeUnaryRequest(path, same, same, Buffer.alloc(0), metadata, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    await expect.poll(() => spansOf('ListModels').at(-1)?.ends).toBe(1);
    const span = spansOf('ListModels').at(-1);
    expect(span?.parent).toMatchObject({ traceId, spanId });
    expect(span?.context.traceId).toBe(traceId);
    expect(span?.attributes['emu.request_id']).toBe('mine-1');
    expect(callLines('ListModels').at(-1)?.['requestId']).toBe('mine-1');
  });

  it('that fails or is cancelled ends its span once, with its status', async () => {
    await failureOf(client.collect(generate, request('', 0)));
    await expect.poll(() => spansOf('Generate').at(-1)?.ends).toBe(1);
    expect(spansOf('Generate').at(-1)).toMatchObject({
      status: { code: SpanStatusCode.ERROR, message: 'INVALID_ARGUMENT' },
      attributes: { 'rpc.grpc.status_code': 3, reason: expect.any(String) as string },
    });
    for await (const { event } of client.stream(generate, request('a story', 1500))) {
      if (event.case === 'text') break;
    }
    await expect.poll(() => spansOf('Generate').at(-1)?.ends).toBe(1);
    expect(spansOf('Generate').at(-1)).toMatchObject({
      status: { code: SpanStatusCode.ERROR, message: 'CANCELLED' },
      attributes: { 'rpc.grpc.status_code': 1 },
    });
    for (const { ends, toldAfterEnd } of recording.spans)
      expect({ ends, toldAfterEnd }).toEqual({ ends: 1, toldAfterEnd: 0 });
  });
});

describe('neither log nor spans', () => {
  it('have anything of prompts, answers, pictures or keys', async () => {
    const linesBefore = written.length;
    const spansBefore = recording.spans.length;
    const texts: string[] = [];
    for (const seed of [1n, 2n, 3n]) {
      const more = { seed, sampling: { maxNewTokens: 60, minNewTokens: 60, temperature: 1 } };
      const events = await client.collect(generate, { ...request(`a ${secret}`), ...more });
      texts.push(events.map(({ event }) => (event.case === 'text' ? event.value.text : '')).join(''));
    }
    const picture = await stripes(40, 30);
    const image = { data: { case: 'image', value: { source: { case: 'data', value: picture } } } };
    const drawn = {
      input: { case: 'prompt', value: { parts: [image, part(secret)] } },
      ...{ outputModalities: [OutputModality.IMAGE], image: { steps: 1, negativePrompt: secret } },
    };
    await client.collect(generate, drawn);
    await client.unary(countTokens, { prompt: { parts: [part(secret)] } });
    await client.unary(score, { prefix: { parts: [part(secret)] }, candidates: [secret] });
    // What is refused tells its caller the bad value; the log has the reason alone.
    const question = { case: 'question', value: { question: secret, context: [] } };
    await failureOf(client.collect(generate, { input: question, outputModalities: [OutputModality.IMAGE] }));
    await failureOf(client.collect(generate, { ...request(secret), model: `models/${secret}` }));
    await failureOf(client.collect(generate, request(`${secret} `.repeat(3000))));
    const start = { case: 'start', value: { uploadId: secret, sizeBytes: 3n } };
    await failureOf(client.upload(uploadMedia, [{ data: start }]));
    const thief = new TestClient(server.address ?? '', { key: `${key}-${secret}` });
    expect((await failureOf(thief.collect(generate, request(secret)))).code).toBe('UNAUTHENTICATED');
    thief.close();

    await expect.poll(() => callLines('UploadMedia').length).toBe(1);
    const lines = written.slice(linesBefore).join('');
    expect(lines.split('\n').length).toBeGreaterThan(11);
    const told = `${lines}\n${JSON.stringify(recording.spans.slice(spansBefore))}`;
    expect(recording.spans.length - spansBefore).toBeGreaterThan(9);
    expect(texts.every((text) => text.length > 20)).toBe(true);
    for (const text of [...texts, ...texts.flatMap((each) => pieces(each))]) expect(told).not.toContain(text);
    for (const hidden of [secret, key, Buffer.from(picture).toString('base64').slice(20, 60)])
      expect(told).not.toContain(hidden);
  });
});

/** Parts of a text that are too long to be in a log by chance, as JSON would write them. */
function pieces(text: string): readonly string[] {
  const escaped = JSON.stringify(text).slice(1, -1);
  return Array.from({ length: Math.floor(escaped.length / 12) }, (_, at) =>
    escaped.slice(at * 12, at * 12 + 12),
  );
}
