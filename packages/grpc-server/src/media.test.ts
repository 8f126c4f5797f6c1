import { createHash, randomBytes } from 'node:crypto';

import { toBinary, create } from '@bufbuild/protobuf';
import { GenerationService, MediaService, UploadMediaRequestSchema } from '@emu/proto';
import { encodePng } from '@emu/sdk';
import type { ClientWritableStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { failureOf, TestClient } from './testing/client.js';
import { CuttingProxy } from './testing/cutting-proxy.js';
import { openSmallModel } from './testing/small-model.js';

const { generate } = GenerationService.method;
const { uploadMedia, getUpload } = MediaService.method;
const chunkBytes = 64 * 1024;
let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let client: TestClient;
/** A picture of more than half a MiB: noise does not compress. */
let file: Uint8Array<ArrayBuffer>;
let sha256: Uint8Array;

beforeAll(async () => {
  model = await openSmallModel();
  server = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent' });
  await server.start();
  client = new TestClient(server.address ?? '');
  const [width, height] = [500, 400];
  file = Uint8Array.from(await encodePng({ width, height, data: randomBytes(width * height * 3) }));
  sha256 = createHash('sha256').update(file).digest();
});
afterAll(async () => {
  client.close();
  await server.drain({ graceMs: 0 });
  await model.close();
});

type Data = { readonly case: 'start' | 'chunk'; readonly value: object };

/** What an upload sends from an offset on. */
function messages(uploadId: string, offset = 0): readonly { readonly data: Data }[] {
  const start = { uploadId, sizeBytes: BigInt(file.length), sha256, offset: BigInt(offset) };
  const chunks: { readonly data: Data }[] = [];
  for (let at = offset; at < file.length; at += chunkBytes)
    chunks.push({ data: { case: 'chunk', value: file.subarray(at, at + chunkBytes) } });
  return [{ data: { case: 'start', value: start } }, ...chunks];
}

/** An upload that is begun and not ended. */
function openUpload(to: TestClient): ClientWritableStream<Buffer> {
  const { parent, name } = uploadMedia;
  const same = (bytes: Buffer): Buffer => bytes;
  const call = to.channel.makeClientStreamRequest(`/${parent.typeName}/${name}`, same, same, () => undefined);
  call.on('error', () => undefined); // it is cut
  return call;
}

function send(call: ClientWritableStream<Buffer>, parts: readonly { readonly data: Data }[]): void {
  for (const part of parts)
    call.write(
      Buffer.from(toBinary(UploadMediaRequestSchema, create(UploadMediaRequestSchema, part as never))),
    );
}

const received = async (uploadId: string): Promise<number> =>
  Number((await client.unary(getUpload, { uploadId })).receivedBytes);

/** What the model says of a picture. */
async function caption(source: object): Promise<string> {
  const events = await client.collect(generate, {
    input: { case: 'caption', value: { media: { data: { case: 'image', value: { source } } } } },
    sampling: { maxNewTokens: 12, numBeams: 1 },
  });
  expect(events.at(-1)?.event.case).toBe('finished');
  return events.map(({ event }) => (event.case === 'text' ? event.value.text : '')).join('');
}

describe('an upload', () => {
  it('is a picture by its name, as if its bytes were in the request', async () => {
    const before = Date.now();
    const { name, expireTime } = await client.upload(uploadMedia, messages('whole'));
    expect(name).toMatch(/^media\/[0-9a-f-]{36}$/);
    expect(Number(expireTime?.seconds) * 1000).toBeGreaterThan(before + 3_500_000);
    expect(await client.unary(getUpload, { uploadId: 'whole' })).toMatchObject({
      receivedBytes: BigInt(file.length),
      name,
    });
    expect(await caption({ case: 'media', value: name })).toBe(await caption({ case: 'data', value: file }));
  });

  it.each(['a connection that broke', 'a caller that gave up'])(
    'goes on where it was cut by %s',
    async (how) => {
      const uploadId = how.replaceAll(' ', '-');
      const proxy = await CuttingProxy.start(Number(server.address?.split(':').at(-1)));
      const cut = new TestClient(proxy.address);
      const call = openUpload(cut);
      send(call, messages(uploadId).slice(0, 4));
      await expect.poll(() => received(uploadId).catch(() => 0), { timeout: 5000 }).toBe(3 * chunkBytes);
      // Only one may write.
      const second = await failureOf(client.upload(uploadMedia, messages(uploadId, 3 * chunkBytes)));
      expect(second.info?.reason).toBe('REQUEST_CONFLICT');
      if (how === 'a caller that gave up') call.cancel();
      else proxy.cut();

      // As soon as the server knows, the upload can go on, from there and from nowhere else.
      const again = async (offset: number): Promise<string> =>
        client.upload(uploadMedia, messages(uploadId, offset)).then(
          ({ name }) => name,
          (failure: unknown) => (failure instanceof Error ? failure.message : ''),
        );
      await expect
        .poll(() => again(0), { timeout: 5000 })
        .toContain(`[start.offset] is 0, ${3 * chunkBytes} bytes have arrived`);
      const offset = await received(uploadId);
      const name = await again(offset);
      expect(name).toMatch(/^media\//);
      expect(await caption({ case: 'media', value: name })).toBe(
        await caption({ case: 'data', value: file }),
      );
      cut.close();
      await proxy.close();
    },
  );

  it('of other bytes than were announced begins again', async () => {
    const wrong = messages('wrong').map((message, index) =>
      index === 2 ? { data: { case: 'chunk' as const, value: new Uint8Array(chunkBytes) } } : message,
    );
    const failure = await failureOf(client.upload(uploadMedia, wrong));
    expect(failure.message).toBe('[start.sha256] is not that of the bytes that arrived');
    expect(await received('wrong')).toBe(0);
    expect((await client.upload(uploadMedia, messages('wrong'))).name).toMatch(/^media\//);
  });
});
