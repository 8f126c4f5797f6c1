import { connect, type ClientHttp2Session } from 'node:http2';

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  ErrorInfoSchema,
  GenerateRequestSchema,
  GenerationService,
  ImageFormat,
  ModelService,
  OutputModality,
  StatusSchema,
} from '@emu/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';

const { generate, countTokens } = GenerationService.method;
let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let session: ClientHttp2Session;
beforeAll(async () => {
  model = await openSmallModel();
  server = createServer({
    models: { small: model.emu },
    port: 0,
    logLevel: 'silent',
    limits: { maxRequestBytes: 4096 },
  });
  await server.start();
  session = connect(`http://${server.address ?? ''}`);
});
afterAll(async () => {
  session.destroy();
  await server.drain({ graceMs: 0 });
  await model.close();
});

interface Answer {
  readonly status: string | undefined;
  readonly reason: string | undefined;
}

/** A call made of raw bytes. */
function raw(
  bytes: Buffer,
  headers: Readonly<Record<string, string>> = {},
  method = 'CountTokens',
  connection = session,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = connection.request({
      ':method': 'POST',
      ':path': `/emu.v1.GenerationService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const seen: Record<string, unknown> = {};
    stream.on('response', (each: object) => void Object.assign(seen, each));
    stream.on('trailers', (each: object) => void Object.assign(seen, each));
    stream.on('error', reject);
    stream.on('close', () => {
      resolve({
        status: seen['grpc-status'] as string | undefined,
        reason: reasonOf(seen['grpc-status-details-bin']),
      });
    });
    stream.resume();
    stream.end(bytes);
  });
}

/** A call that sends so many bytes of a longer message, and its status. */
function unfinished(connection: ClientHttp2Session, bytes: number): Promise<string> {
  const stream = connection.request({
    ':method': 'POST',
    ':path': '/emu.v1.GenerationService/CountTokens',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.write(framed(Buffer.alloc(bytes), 0, bytes + 1000));
  return new Promise((resolve) => {
    const tell = (headers: Record<string, unknown>): void => {
      const status = headers['grpc-status'];
      if (typeof status === 'string') resolve(status);
    };
    stream.on('response', tell);
    stream.on('trailers', tell);
    stream.on('error', () => undefined);
    stream.resume();
  });
}

function reasonOf(details: unknown): string | undefined {
  if (typeof details !== 'string') return undefined;
  const status = fromBinary(StatusSchema, Buffer.from(details, 'base64'));
  return status.details
    .map((any) => anyUnpack(any, ErrorInfoSchema)?.reason)
    .find((reason) => reason !== undefined);
}

function framed(body: Buffer, flag = 0, length = body.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, body]);
}

const invalid = { status: '3', reason: 'INVALID_OPTION' };

describe('bytes that are no call', () => {
  it.each([
    [
      'garbage that says it is gzip',
      framed(Buffer.from('not gzip at all'), 1),
      { 'grpc-encoding': 'gzip' },
      invalid,
    ],
    [
      'garbage that says it is deflate',
      framed(Buffer.from('nor deflate'), 1),
      { 'grpc-encoding': 'deflate' },
      invalid,
    ],
    [
      'an unknown encoding',
      framed(Buffer.from('x'), 1),
      { 'grpc-encoding': 'zstd' },
      { status: '12', reason: 'UNIMPLEMENTED' },
    ],
    ['no message', Buffer.alloc(0), {}, invalid],
    ['two messages', Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.alloc(0))]), {}, invalid],
    ['a field that never ends', framed(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])), {}, invalid],
    [
      'a message of four gigabytes, announced',
      framed(Buffer.from('x'), 0, 0xffffffff),
      {},
      { status: '8', reason: 'MESSAGE_TOO_LARGE' },
    ],
    ['a deadline of words', framed(Buffer.alloc(0)), { 'grpc-timeout': 'soon' }, invalid],
  ])('%s', async (_, bytes, headers, answer) => {
    expect(await raw(bytes, headers)).toEqual(answer);
  });

  it('a method that there is not', async () => {
    expect((await raw(framed(Buffer.alloc(0)), {}, 'Destroy')).status).toBe('12');
  });

  it('a stream that is cut in the middle of its message, a hundred times', async () => {
    for (let index = 0; index < 100; index++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/emu.v1.GenerationService/Generate',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      stream.write(framed(Buffer.from('abc'), 0, 1000));
      stream.close(8);
    }
    const client = new TestClient(server.address ?? '');
    const counted = await client.unary(countTokens, {
      prompt: { parts: [{ data: { case: 'text', value: 'alive' } }] },
    });
    expect(counted.tokenCount).toBeGreaterThan(1);
    client.close();
  });

  it('connections that break off their calls as they begin them are ended, others are not', async () => {
    const strict = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent' });
    await strict.start();
    const client = new TestClient(strict.address ?? '');
    const flood = connect(`http://${strict.address ?? ''}`);
    flood.on('error', () => undefined);
    const ended = new Promise<boolean>((resolve) => {
      flood.on('close', () => {
        resolve(true);
      });
      setTimeout(resolve, 20_000, false).unref();
    });
    for (let index = 0; index < 900 && !flood.destroyed; index++) {
      const stream = flood.request({
        ':method': 'POST',
        ':path': '/emu.v1.GenerationService/Generate',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      stream.close(8);
      if (index % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await ended).toBe(true);
    const counted = await client.unary(countTokens, {
      prompt: { parts: [{ data: { case: 'text', value: 'alive' } }] },
    });
    expect(counted.tokenCount).toBeGreaterThan(1);
    client.close();
    await strict.drain({ graceMs: 0 });
  });

  it('eight million fields in one message are refused before they are read', async () => {
    const large = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent' });
    await large.start();
    const client = new TestClient(large.address ?? '');
    const before = performance.now();
    const fields = Buffer.alloc(2 ** 24 - 64, Uint8Array.from([0x78, 0]));
    expect(await raw(framed(fields), {}, 'CountTokens', connect(`http://${large.address ?? ''}`))).toEqual({
      status: '8',
      reason: 'MESSAGE_TOO_LARGE',
    });
    const alive = { prompt: { parts: [{ data: { case: 'text', value: 'alive' } }] } } as const;
    expect((await client.unary(countTokens, alive)).tokenCount).toBeGreaterThan(1);
    expect(performance.now() - before).toBeLessThan(20_000);
    client.close();
    await large.drain({ graceMs: 0 });
  });

  it('unfinished messages beyond what is held end those that began first, and none that is whole', async () => {
    const narrow = createServer({
      models: { small: model.emu },
      port: 0,
      logLevel: 'silent',
      limits: { maxRequestBytes: 30_000, maxArrivingBytes: 100_000, maxArrivalMs: 1500 },
    });
    await narrow.start();
    const many = connect(`http://${narrow.address ?? ''}`);
    const ends: Promise<string>[] = [];
    for (let index = 0; index < 10; index++) {
      ends.push(unfinished(many, 20_000));
      await new Promise((resolve) => setTimeout(resolve, 20)); // so that they begin one after the other
    }
    const client = new TestClient(narrow.address ?? '');
    const alive = { prompt: { parts: [{ data: { case: 'text', value: 'alive' } }] } } as const;
    expect((await client.unary(countTokens, alive)).tokenCount).toBeGreaterThan(1);
    const { limits } = await client.unary(ModelService.method.getServerInfo, {});
    expect(limits).toMatchObject({
      maxRequestBytes: 30_000n,
      maxArrivingBytes: 100_000n,
      maxArrival: { seconds: 1n, nanos: 500_000_000 },
      maxFieldCount: 100_000,
      maxBeamCount: 16,
    });
    // Four of 20 005 fit; what is never finished gives up its place after a while.
    expect(await Promise.all(ends)).toEqual([...Array<string>(6).fill('8'), ...Array<string>(4).fill('4')]);
    client.close();
    many.destroy();
    await narrow.drain({ graceMs: 0 });
  });

  it('a reader with its window shut is cut at the deadline, and never with OK', async () => {
    const request = create(GenerateRequestSchema, {
      input: { case: 'prompt', value: { parts: [{ data: { case: 'text', value: 'x' } }] } },
      outputModalities: [OutputModality.IMAGE],
      image: { steps: 2, format: ImageFormat.RGB, width: 512, height: 512 },
    });
    const shut = connect(`http://${server.address ?? ''}`, { settings: { initialWindowSize: 0 } });
    const stream = shut.request({
      ':method': 'POST',
      ':path': `/${generate.parent.typeName}/${generate.name}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '3S',
    });
    const statuses: unknown[] = [];
    stream.on('trailers', (trailers: Record<string, unknown>) => statuses.push(trailers['grpc-status']));
    stream.on('error', () => undefined);
    stream.end(framed(Buffer.from(toBinary(GenerateRequestSchema, request))));
    await new Promise((resolve) => stream.once('close', resolve));
    expect(statuses).not.toContain('0');
    expect(model.emu.statistics().sequences.held).toBe(0);
    shut.destroy();
  });
});
