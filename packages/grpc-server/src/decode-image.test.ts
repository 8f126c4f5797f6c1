import {
  EmbeddingService,
  GenerationService,
  ImageFormat,
  type DecodeImageResponse,
  type VisualEmbedding,
} from '@emu/proto';
import { floatTensor } from '@emu/program';
import { embedding, image, type EmbeddingMedia } from '@emu/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { TestClient } from './testing/client.js';
import { stripes } from './testing/pictures.js';
import { openSmallModel } from './testing/small-model.js';

const { decodeImage } = GenerationService.method;
const { encodeImages } = EmbeddingService.method;
let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let client: TestClient;
let pictures: readonly Uint8Array<ArrayBuffer>[];
/** Embeddings of the pictures, as the server gave them. */
let encoded: readonly VisualEmbedding[];
/** The same from the model here. */
let local: readonly EmbeddingMedia[];

beforeAll(async () => {
  model = await openSmallModel();
  server = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent' });
  await server.start();
  client = new TestClient(server.address ?? '');
  pictures = [await stripes(40, 30), await stripes(30, 50, 7)];
  const images = pictures.map((data) => ({ source: { case: 'data', value: data } }));
  const { results } = await client.unary(encodeImages, { images });
  encoded = results.flatMap(({ result }) => (result.case === 'embedding' ? [result.value] : []));
  local = await model.emu.encodeImages(pictures.map((data) => image(data)));
});
afterAll(async () => {
  client.close();
  await server.drain({ graceMs: 0 });
  await model.close();
});

const options = { image: { steps: 3, format: ImageFormat.RGB, previewInterval: 1 }, seed: 9n };

function bytesOf(events: readonly DecodeImageResponse[]): Buffer {
  return Buffer.concat(events.flatMap(({ event }) => (event.case === 'image' ? [event.value.data] : [])));
}

/** Pixels that the model draws here. */
async function drawn(of: EmbeddingMedia): Promise<Buffer> {
  const [picture] = await model.emu.decodeImage(of, { steps: 3, seed: 9 }).images();
  return Buffer.from(picture?.data ?? []);
}

describe('DecodeImage', () => {
  it('draws an embedding that EncodeImages gave, as the local model does, and tells of its steps', async () => {
    const [first] = encoded;
    const [ours] = local;
    if (first === undefined || ours === undefined) throw new Error('there are no embeddings');
    const events = await client.collect(decodeImage, {
      ...options,
      source: { case: 'embedding', value: first },
    });
    expect(events.map(({ sequence }) => Number(sequence))).toEqual(events.map((_, index) => index + 1));
    expect(events[0]?.event).toMatchObject({ case: 'started', value: { seed: 9n, model: 'models/small' } });
    const steps = events.flatMap(({ event }) => (event.case === 'imageProgress' ? [event.value] : []));
    expect(steps.at(-1)?.step).toBe(steps.at(-1)?.totalSteps);
    expect(steps.some(({ previewJpeg }) => previewJpeg.length > 0)).toBe(true);
    const last = events.at(-1)?.event;
    expect(last).toMatchObject({
      case: 'finished',
      value: { usage: { outputImageCount: 1, denoisingStepCount: steps.at(-1)?.totalSteps } },
    });
    const pixels = bytesOf(events);
    expect(pixels).toHaveLength(128 * 128 * 3);
    expect(pixels.equals(await drawn(ours))).toBe(true);
  });

  it('draws a blend: the mean of embeddings by their shares', async () => {
    const [first, second] = encoded;
    const [one, two] = local;
    if (one === undefined || two === undefined) throw new Error('there are no embeddings');
    const parts = [{ embedding: first, weight: 3 }, { embedding: second }]; // without a weight: 1
    const blend = await client.collect(decodeImage, {
      ...options,
      source: { case: 'blend', value: { parts } },
    });
    const [a, b] = [one.embeddings.data, two.embeddings.data];
    const mean = Float32Array.from(a, (value, at) => 0.75 * value + 0.25 * (b[at] ?? Number.NaN));
    const { space } = one;
    const expected = await drawn(
      embedding(floatTensor(one.embeddings.shape, mean), space === undefined ? {} : { space }),
    );
    expect(bytesOf(blend).equals(expected)).toBe(true);
    expect(bytesOf(blend).equals(await drawn(one))).toBe(false);
    expect(bytesOf(blend).equals(await drawn(two))).toBe(false);
  });

  it('draws one picture of a blend alone as of its embedding', async () => {
    const [first] = encoded;
    const source = { case: 'blend', value: { parts: [{ embedding: first, weight: 0.2 }] } };
    const [alone] = local;
    if (alone === undefined) throw new Error('there are no embeddings');
    const events = await client.collect(decodeImage, { ...options, source });
    expect(bytesOf(events).equals(await drawn(alone))).toBe(true);
  });

  it('goes on after a lost stream', async () => {
    const [first] = encoded;
    const request = { ...options, source: { case: 'embedding', value: first }, retention: { seconds: 30n } };
    const whole = await client.collect(decodeImage, request);
    const before: DecodeImageResponse[] = [];
    for await (const event of client.stream(decodeImage, request)) {
      before.push(event);
      if (before.length === 2) break;
    }
    const started = before[0]?.event;
    const generationId = started?.case === 'started' ? started.value.generationId : '';
    const value = { generationId, afterSequence: before.at(-1)?.sequence };
    const after = await client.collect(decodeImage, { source: { case: 'resume', value } });
    expect(Number(after[0]?.sequence)).toBe(3);
    expect(bytesOf(after).equals(bytesOf(whole))).toBe(true);
  });
});
