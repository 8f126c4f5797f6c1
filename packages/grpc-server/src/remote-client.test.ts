import { EmuError } from '@emu/program';
import {
  Emu,
  embedding,
  image,
  type GenerationEvent,
  type GenerationResult,
  type GenerationStream,
  type ImageMedia,
  type RemoteEmu,
} from '@emu/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { CuttingProxy } from './testing/cutting-proxy.js';
import { stripes } from './testing/pictures.js';
import { openSmallModel } from './testing/small-model.js';

let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
/** The same model on another port, with books of its own: what a server that was started anew is to a client. */
let anew: EmuServer;
let remote: RemoteEmu;
let picture: ImageMedia;
let other: ImageMedia;

const portOf = ({ address = '' }: EmuServer): number => Number(address.split(':').at(-1));

beforeAll(async () => {
  model = await openSmallModel();
  const options = { models: { small: model.emu }, port: 0, logLevel: 'error' } as const;
  server = createServer(options);
  anew = createServer(options);
  await Promise.all([server.start(), anew.start()]);
  remote = await Emu.connect(`grpc://${server.address ?? ''}`);
  picture = image(await stripes(50, 40));
  other = image(await stripes(30, 60, 3));
});

afterAll(async () => {
  await remote.dispose();
  await Promise.all([server.drain({ graceMs: 0 }), anew.drain({ graceMs: 0 })]);
  await model.close();
});

interface Whole {
  readonly events: readonly GenerationEvent[];
  readonly result: GenerationResult;
}

async function whole(stream: GenerationStream): Promise<Whole> {
  const events: GenerationEvent[] = [];
  for await (const event of stream) events.push(event);
  return { events, result: await stream.result() };
}

/**
 * Events that can be compared: a server joins text and leaves out progress that its reader has not taken yet, and names
 * its model in its own way. Everything else has to be the same, in the same order.
 */
function comparable(events: readonly GenerationEvent[]): readonly unknown[] {
  const list: unknown[] = [];
  let text = '';
  const flush = (): void => {
    if (text !== '') list.push({ type: 'text', text });
    text = '';
  };
  for (const event of events) {
    if (event.type === 'image-progress' && event.step < event.totalSteps) continue;
    if (event.type === 'text') text += event.text;
    else if (event.type === 'token') list.push({ type: event.type, id: event.id, logprob: event.logprob });
    else {
      flush();
      if (event.type === 'started') list.push({ type: event.type, seed: event.seed });
      else list.push(event.type === 'finish' ? { ...event, usage: uncached(event.usage) } : event);
    }
  }
  flush();
  return list;
}

/** Tokens come before the text they end up in, so text is compared apart from them. */
function expectSame(actual: Whole, local: Whole): void {
  const [mine, theirs] = [actual, local].map(({ events }) => ({
    tokens: events.filter(({ type }) => type === 'token'),
    rest: comparable(events.filter(({ type }) => type !== 'token')),
  }));
  expect(mine).toEqual(theirs);
  expect({ ...actual.result, usage: uncached(actual.result.usage) }).toEqual({
    ...local.result,
    usage: uncached(local.result.usage),
  });
}

/** What the cache had of a prompt depends on what was asked before. */
function uncached(usage: Whole['result']['usage']): Whole['result']['usage'] {
  return { ...usage, cachedTokens: 0 };
}

const unseeded = { numBeams: 1, maxNewTokens: 12, minNewTokens: 12, temperature: 1 } as const;
const short = { ...unseeded, seed: 5 } as const;

const verbs: Readonly<Record<string, (emu: Emu | RemoteEmu) => GenerationStream>> = {
  'generate with log-probabilities': (emu) =>
    emu.generate(['a cat', picture], { ...short, logprobs: true, topLogprobs: 3 }),
  'generate with tokens': (emu) => emu.generate(['a cat', picture], { ...short, tokens: true }),
  'generate with beams': (emu) => emu.generate('a cat', { numBeams: 3, maxNewTokens: 8, seed: 1 }),
  'generate with choices': (emu) =>
    emu.generate('a', { ...short, minNewTokens: 0, choices: ['red', 'blue'] }),
  'caption with a lead': (emu) => emu.caption(picture, { ...short, lead: 'a photo of' }),
  ask: (emu) => emu.ask([picture, 'and', other], 'what color is it?', short),
  chat: (emu) => emu.chat([{ role: 'user', content: ['what is it?', picture] }], short),
  imagine: (emu) => emu.imagine(['red', picture], { steps: 3, seed: 9 }),
  'blend of pictures': (emu) => emu.blend([picture, other], { steps: 2, seed: 4, guidanceScale: 2 }),
};

describe('a model on a server', () => {
  it.each(Object.entries(verbs))('does what the local one does: %s', async (_, verb) => {
    expectSame(await whole(verb(remote)), await whole(verb(model.emu)));
  });

  it('draws given embeddings as the local one does', async () => {
    const [mine] = await remote.encodeImages([picture]);
    const [theirs] = await model.emu.encodeImages([picture]);
    if (mine === undefined || theirs === undefined) throw new Error('no embeddings');
    expect(mine).toEqual(theirs);
    const options = { steps: 2, seed: 11 };
    expectSame(
      await whole(remote.decodeImage(mine, options)),
      await whole(model.emu.decodeImage(theirs, options)),
    );
  });

  it('scores and counts as the local one does', async () => {
    const candidates = ['a cat', 'a dog', 'nothing at all'];
    for (const rankBy of ['token', 'sum', 'authors'] as const) {
      expect(await remote.score([picture, 'this is'], candidates, { rankBy })).toEqual(
        await model.emu.score([picture, 'this is'], candidates, { rankBy }),
      );
    }
    expect(await remote.countTokens(['a cat', picture])).toBe(model.emu.countTokens(['a cat', picture]));
    expect((await remote.models()).map(({ name }) => name)).toEqual(['models/small']);
  });

  it.each<readonly [string, (emu: Emu | RemoteEmu) => Promise<unknown>]>([
    ['options of the wrong kind', async (emu) => emu.generate('a', { maxNewTokens: 0 }).result()],
    ['a context that is too short', (emu) => emu.generate('a', { maxNewTokens: 3000 }).result()],
    ['no message', async (emu) => emu.chat([]).result()],
    ['a picture that is none', (emu) => emu.caption(image(new Uint8Array(100)), short).result()],
    [
      'embeddings of another model',
      async (emu) => {
        const [{ embeddings } = { embeddings: undefined }] = await model.emu.encodeImages([picture]);
        if (embeddings === undefined) throw new Error('no embeddings');
        return emu.decodeImage(embedding(embeddings, { space: 'another' })).result();
      },
    ],
  ])('fails with the same code for %s, and says what to do', async (_, call) => {
    const [mine, theirs] = await Promise.all([failure(call(remote)), failure(call(model.emu))]);
    expect(mine.code).toBe(theirs.code);
    expect(mine.message.length).toBeGreaterThan(10);
    if (theirs.hint !== undefined) expect(mine.hint).toBeDefined();
  });

  it('keeps the message and the hint of what went wrong at the server', async () => {
    const call = (emu: Emu | RemoteEmu) => failure(emu.generate('a', { maxNewTokens: 3000 }).result());
    const [mine, theirs] = [await call(remote), await call(model.emu)];
    expect([mine.code, mine.message, mine.hint]).toEqual([theirs.code, theirs.message, theirs.hint]);
  });

  it('an abort frees the place at the server', async () => {
    const controller = new AbortController();
    const stream = remote.generate('a cat', { ...long, signal: controller.signal });
    const reason = new Error('enough');
    await expect(
      (async () => {
        for await (const event of stream) if (event.type === 'text') controller.abort(reason);
      })(),
    ).rejects.toBe(reason);
    await nothingHeld();
  });

  it('gives what there is after an abort, when asked to', async () => {
    const controller = new AbortController();
    const stream = remote.generate('a cat', { ...long, signal: controller.signal, onAbort: 'return' });
    const texts: string[] = [];
    for await (const event of stream) {
      if (event.type === 'text') texts.push(event.text);
      if (texts.length === 3) controller.abort();
    }
    const { text, finishReason } = await stream.result();
    expect([text.startsWith(texts.join('').slice(0, 3)), finishReason]).toEqual([true, 'aborted']);
    await nothingHeld();
  });

  it('leaving the loop cancels at the server', async () => {
    for await (const event of remote.generate('a cat', long)) if (event.type === 'text') break;
    await nothingHeld();
  });

  it('dispose ends what runs, and what comes after', async () => {
    const mine = await Emu.connect(`grpc://${server.address ?? ''}`);
    const stream = mine.generate('a cat', long);
    for await (const event of stream[Symbol.asyncIterator]() as AsyncGenerator<GenerationEvent>) {
      if (event.type !== 'text') continue;
      await mine.dispose();
      break;
    }
    expect((await failure(stream.result())).code).toBe('MODEL_DISPOSED');
    expect(mine.disposed).toBe(true);
    expect(() => mine.generate('a')).toThrow('[remote] the connection has been closed');
    await mine.dispose();
    await nothingHeld();
  });
});

const long = { numBeams: 1, minNewTokens: 1500, maxNewTokens: 1500, seed: 2, temperature: 1 } as const;

async function failure(work: Promise<unknown>): Promise<EmuError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (EmuError.isInstance(error)) return error;
  throw new Error('it did not fail as it should', { cause: error });
}

async function nothingHeld(): Promise<void> {
  const start = performance.now();
  while (model.emu.statistics().sequences.held > 0) {
    if (performance.now() - start > 5000) throw new Error('a place is still held');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe.each([
  ['stops at the server', 0],
  ['goes on at the server', 30],
])('a connection that is lost while the work %s', (_, retentionSeconds) => {
  let proxy: CuttingProxy;
  let client: RemoteEmu;
  beforeAll(async () => {
    proxy = await CuttingProxy.start(portOf(server));
    client = await Emu.connect(`grpc://${proxy.address}`, { retentionSeconds });
  });
  afterAll(async () => {
    await client.dispose();
    await proxy.close();
  });

  const medium = { ...short, minNewTokens: 150, maxNewTokens: 150, logprobs: true };

  it('is no end of a text: no event is lost, none comes twice', async () => {
    // Events that nobody reads are joined, so connections count bytes: of these there are more than enough for four.
    const options = { ...medium, minNewTokens: 600, maxNewTokens: 600 };
    const local = await whole(model.emu.generate('a dog', options));
    Object.assign(proxy, { cuts: 0, cutsLeft: 4, cutAfter: 700 });
    expectSame(await whole(client.generate('a dog', options)), local);
    expect(proxy.cuts).toBe(4);
  });

  it('is no end of a picture', async () => {
    const options = { steps: 4, seed: 3, previewEvery: 1, width: 128, height: 128 };
    const local = await whole(model.emu.imagine('a dog', options));
    Object.assign(proxy, { cuts: 0, cutsLeft: 3, cutAfter: 3000 });
    const { events, result } = await whole(client.imagine('a dog', options));
    expect(result).toEqual(local.result);
    expect(proxy.cuts).toBe(3);
    expect(events.filter(({ type }) => type === 'visual-embedding')).toEqual(
      local.events.filter(({ type }) => type === 'visual-embedding'),
    );
  });

  it('to a server that was started anew begins the generation again, unseen by the reader', async () => {
    const local = await whole(model.emu.generate('a bird', medium));
    Object.assign(proxy, { cuts: 0, cutsLeft: 0, target: portOf(server) });
    const stream = client.generate('a bird', medium);
    const events: GenerationEvent[] = [];
    let tokens = 0;
    for await (const event of stream) {
      events.push(event);
      if (event.type !== 'token' || ++tokens !== 20) continue;
      proxy.target = portOf(anew);
      proxy.cut();
    }
    expectSame({ events, result: await stream.result() }, local);
    proxy.target = portOf(server);
    proxy.cut();
  });

  it('begins again with the seed that the server chose', async () => {
    const options = { ...unseeded, minNewTokens: 150, maxNewTokens: 150, logprobs: true };
    const stream = client.generate('a bird', options);
    let [tokens, text] = [0, ''];
    for await (const event of stream) {
      if (event.type === 'text') text += event.text;
      if (event.type !== 'token' || ++tokens !== 20) continue;
      proxy.target = portOf(anew);
      proxy.cut();
    }
    const result = await stream.result();
    expect([text, tokens]).toEqual([result.text, 150]);
    expect(await model.emu.generate('a bird', { ...options, seed: result.seed }).text()).toBe(result.text);
    proxy.target = portOf(server);
    proxy.cut();
  });

  it('before the first answer is tried again', async () => {
    proxy.refuses = true;
    proxy.cut();
    const answer = client.generate('a fish', short).text();
    setTimeout(() => (proxy.refuses = false), 250);
    expect(await answer).toBe(await model.emu.generate('a fish', short).text());
  });

  it('ends a generation that is not to be taken up, and its events are not told again', async () => {
    const brief = await Emu.connect(`grpc://${proxy.address}`, { reconnectSeconds: 0 });
    const stream = brief.generate('a dog', long);
    const texts: string[] = [];
    const reading = (async () => {
      for await (const event of stream) {
        if (event.type !== 'text') continue;
        texts.push(event.text);
        if (texts.length === 10) proxy.cut();
      }
    })();
    expect((await failure(reading)).code).toBe('SERVER_UNREACHABLE');
    const local = await model.emu.generate('a dog', { ...long, minNewTokens: 200, maxNewTokens: 200 }).text();
    expect(local.startsWith(texts.join(''))).toBe(true);
    await brief.dispose();
    await nothingHeld();
  });

  it('for long is forgotten as soon as the server is back', async () => {
    const mine = await CuttingProxy.start(portOf(server));
    const port = Number(mine.address.split(':')[1]);
    const waiting = await Emu.connect(`grpc://${mine.address}`, { reconnectSeconds: 7, retentionSeconds });
    const stream = waiting.generate('a dog', long);
    let closing: Promise<void> | undefined;
    const reading = (async () => {
      for await (const event of stream) if (event.type === 'text') closing ??= mine.close();
    })();
    expect((await failure(reading)).code).toBe('SERVER_UNREACHABLE');
    await closing;
    const back = await CuttingProxy.start(portOf(server), port);
    expect(await waiting.generate('a fish', short).text()).toBe(
      await model.emu.generate('a fish', short).text(),
    );
    await waiting.dispose();
    await back.close();
    await nothingHeld();
  });

  it('for longer than it is looked for is an error that says so', async () => {
    const options = { reconnectSeconds: 1, retentionSeconds: Math.min(retentionSeconds, 1) };
    const patient = await Emu.connect(`grpc://${proxy.address}`, options);
    const stream = patient.generate('a dog', long);
    const reading = (async () => {
      for await (const event of stream) {
        if (event.type !== 'text' || proxy.refuses) continue;
        proxy.refuses = true;
        proxy.cut();
      }
    })();
    const error = await failure(reading);
    expect(error.code).toBe('SERVER_UNREACHABLE');
    expect(error.hint).toContain('Check the address');
    proxy.refuses = false;
    await patient.dispose();
    await nothingHeld();
  });
});
