import {
  ErrorInfoSchema,
  FinishReason,
  GenerationService,
  OutputModality,
  type GenerateResponse,
} from '@emu/proto';
import { Emu, image } from '@emu/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';
import { stripes } from './testing/pictures.js';

const { generate } = GenerationService.method;
let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let client: TestClient;

beforeAll(async () => {
  model = await openSmallModel();
  server = createServer({ models: { small: model.emu }, port: 0, metricsPort: 0, logLevel: 'error' });
  await server.start();
  client = new TestClient(server.address ?? '');
});

afterAll(async () => {
  client.close();
  await server.drain({ graceMs: 0 });
  await model.close();
});

const prompt = (...texts: readonly string[]) =>
  ({
    case: 'prompt',
    value: { parts: texts.map((text) => ({ data: { case: 'text', value: text } as const })) },
  }) as const;

function textOf(events: readonly GenerateResponse[]): string {
  return events.map(({ event }) => (event.case === 'text' ? event.value.text : '')).join('');
}

describe('Generate', () => {
  it('streams what the local model says, numbered from 1, with started first and finished last', async () => {
    const local = await model.emu
      .generate('a red circle', { maxNewTokens: 20, numBeams: 1, seed: 3 })
      .result();
    const events = await client.collect(generate, {
      input: prompt('a red circle'),
      sampling: { maxNewTokens: 20, numBeams: 1 },
      seed: 3n,
    });
    expect(events.map(({ sequence }) => Number(sequence))).toEqual(events.map((_, index) => index + 1));
    expect(events[0]?.event.case).toBe('started');
    const last = events.at(-1)?.event;
    expect(last?.case).toBe('finished');
    if (last?.case !== 'finished') return;
    expect(last.value.reason).toBe(FinishReason.LENGTH);
    expect(last.value.usage?.outputTokenCount).toBe(20);
    expect(textOf(events)).toBe(local.text);
    expect(ErrorInfoSchema.typeName).toBe('google.rpc.ErrorInfo');
  });

  it('tells how much of a prompt the cache had, to any client and to ours', async () => {
    const long = 'a story of a red circle and a blue square '.repeat(12);
    const used = async (): Promise<readonly (number | undefined)[]> => {
      const events = await client.collect(generate, {
        input: prompt(long),
        sampling: { maxNewTokens: 2, numBeams: 1 },
      });
      const last = events.at(-1)?.event;
      const usage = last?.case === 'finished' ? last.value.usage : undefined;
      return [usage?.cachedTokenCount, usage?.inputTokenCount];
    };
    const [none] = await used();
    expect(none).toBe(0);
    const [cached = 0, all = 0] = await used();
    // Whole pages, and never the last position: somebody has to compute it.
    expect(cached).toBeGreaterThan(all / 2);
    expect(cached).toBeLessThan(all);
    const remote = await Emu.connect(`grpc://${server.address ?? ''}`);
    try {
      const options = { maxNewTokens: 2, numBeams: 1 } as const;
      const theirs = await remote.generate(long, options).result();
      const ours = await model.emu.generate(long, options).result();
      expect(theirs.usage).toEqual(ours.usage);
      expect(ours.usage).toMatchObject({ promptTokens: all, cachedTokens: cached });
      const drawn = await model.emu.imagine(long, { steps: 1 }).result();
      expect(drawn.usage.cachedTokens).toBe(cached);
    } finally {
      await remote.dispose();
    }
  });

  it('draws the picture that the local model draws', async () => {
    const picture = await stripes(64, 48);
    const local = await model.emu.imagine([image(picture), 'x'], { steps: 3, seed: 9 }).result();
    const events = await client.collect(generate, {
      input: {
        case: 'prompt',
        value: {
          parts: [
            { data: { case: 'image', value: { source: { case: 'data', value: picture } } } },
            { data: { case: 'text', value: 'x' } },
          ],
        },
      },
      outputModalities: [OutputModality.IMAGE],
      image: { steps: 3, format: 3, previewInterval: 1 },
      seed: 9n,
    });
    const chunks = events.flatMap(({ event }) => (event.case === 'image' ? [event.value] : []));
    const bytes = Buffer.concat(chunks.map(({ data }) => data));
    expect(bytes.equals(local.images[0]?.data ?? new Uint8Array())).toBe(true);
    expect(chunks[0]?.header).toMatchObject({
      width: 128,
      height: 128,
      mimeType: 'application/octet-stream',
    });
    expect(chunks.at(-1)?.last).toBe(true);
  });
});
