import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { create, toBinary } from '@bufbuild/protobuf';
import { GenerateResponseSchema, TextDeltaSchema, type GenerateResponse } from '@emu/proto';
import { createServer } from '@emu/grpc-server';
import { Emu } from '@emu/sdk';
import { afterEach, describe, expect, it } from 'vitest';

import { makeSmallModel } from '../testing/small-model.js';
import { ServerTarget } from './server-target.js';

const never = new AbortController().signal;
const request = { prompt: '7 cats', tokens: 12, seed: 3 };
const nothing = (): void => undefined;

let close: () => Promise<void> = () => Promise.resolve();
afterEach(() => close());

describe('a load on a server', () => {
  it('gets the tokens it asks for, an error where the server refuses, and leaves when it is told', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'emu-server-target-'));
    const model = join(folder, 'small');
    await makeSmallModel(model);
    const emu = await Emu.fromPretrained(model, { threads: 2 });
    const server = createServer({ models: { small: emu }, port: 0, logLevel: 'silent' });
    await server.start();
    const target = new ServerTarget(`grpc://${server.address ?? ''}`, undefined);
    close = async () => {
      target.close();
      await server.drain({ graceMs: 0 });
      await emu.dispose();
      await rm(folder, { recursive: true, force: true });
    };
    let texts = 0;
    const onText = (): void => void (texts += 1);
    expect(await target.answer(request, onText, never)).toBe(request.tokens);
    expect(texts).toBeGreaterThan(0);
    await expect(target.answer({ ...request, tokens: 1_000_000 }, nothing, never)).rejects.toThrow(
      'a call ended with gRPC status 3',
    );
    const leaving = new AbortController();
    const leave = (): void => {
      leaving.abort();
    };
    const cut = target.answer({ ...request, tokens: 60 }, leave, leaving.signal);
    expect(await cut).toBeUndefined();
  });
});

/** A peer that sends what it likes, in the pieces it likes. */
async function peer(answer: (stream: ServerHttp2Stream) => void): Promise<ServerTarget> {
  const server: Http2Server = createHttp2Server();
  server.on('stream', answer);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const target = new ServerTarget(`grpc://127.0.0.1:${port}`, undefined);
  close = async () => {
    target.close();
    await new Promise((resolve) => server.close(resolve));
  };
  return target;
}

function frame(event: GenerateResponse['event'], sequence: bigint): Buffer {
  const message = toBinary(GenerateResponseSchema, create(GenerateResponseSchema, { sequence, event }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

describe('messages that come in pieces', () => {
  it.each([1, 2, 7, 1000])('of %d bytes are told one by one', async (size) => {
    const bytes = Buffer.concat([
      frame({ case: 'text', value: create(TextDeltaSchema, { text: 'a cat' }) }, 1n),
      frame({ case: undefined }, 2n),
      frame({ case: 'text', value: create(TextDeltaSchema, { text: ' sits' }) }, 3n),
      frame(endOf(9), 4n),
    ]);
    const target = await peer((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => {
        stream.sendTrailers({ 'grpc-status': '0' });
      });
      void (async () => {
        for (let at = 0; at < bytes.length; at += size) {
          stream.write(bytes.subarray(at, at + size));
          if (size < 7) await setTimeout(0);
        }
        stream.end();
      })();
    });
    let texts = 0;
    expect(await target.answer(request, () => void (texts += 1), never)).toBe(9);
    expect(texts).toBe(2);
  });

  it('are an error when the end is missing', async () => {
    const target = await peer((stream) => {
      stream.respond({ ':status': 200 });
      stream.end(frame(endOf(9), 1n));
    });
    await expect(target.answer(request, nothing, never)).rejects.toThrow('gRPC status undefined');
  });
});

function endOf(outputTokenCount: number): GenerateResponse['event'] {
  const { event } = create(GenerateResponseSchema, {
    event: { case: 'finished', value: { usage: { outputTokenCount } } },
  });
  return event;
}
