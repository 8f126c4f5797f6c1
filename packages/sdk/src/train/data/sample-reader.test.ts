import { drawnWorld } from '@emu/data';
import { describe, expect, it } from 'vitest';

import { mixedStream } from './mixed-stream.js';
import { recipeSources, sourceOptions, type MixedSource } from './recipe-sources.js';
import { SampleReader, type MixOptions } from './sample-reader.js';

const options: MixOptions = { seed: 3, split: 'train', workers: 0 };
const source = (name: string, weight = 1, textFirst = 0.5): MixedSource => ({
  source: drawnWorld({ name, size: 16, kinds: { pair: 1 } }),
  weight,
  textFirst,
  answersOnly: false,
  imagined: false,
});
const sources = [source('a', 3), source('b', 1)];

/** Takes two samples for each batch and puts a third one back, as packing does. */
const stream = (from: Parameters<typeof mixedStream>[3], limit?: number): ReturnType<typeof mixedStream> =>
  mixedStream(
    sources,
    options,
    async (reader) => {
      const taken = [await reader.next(), await reader.next()];
      await reader.next();
      reader.putBack();
      const label = taken.map(({ sample, textFirst }) => `${sample.id} ${textFirst}`).join(', ');
      return { program: 'p', inputs: {}, counts: { samples: 2, tokens: 2, images: 2 }, label };
    },
    from,
    limit,
  );

async function labels(from: Parameters<typeof mixedStream>[3], count: number): Promise<string[]> {
  const opened = stream(from);
  const made: string[] = [];
  for (let i = 0; i < count; i++) made.push((await opened.next())?.label ?? 'end');
  await opened.close();
  return made;
}

describe('mixedStream', () => {
  it('goes on from any position as if it had never stopped', async () => {
    const whole = await labels(null, 8);
    for (const stop of [1, 3, 5]) {
      const first = stream(null);
      for (let i = 0; i < stop; i++) await first.next();
      const position = JSON.parse(JSON.stringify(first.position())) as Parameters<typeof mixedStream>[3];
      await first.close();
      expect(await labels(position, 8 - stop)).toEqual(whole.slice(stop));
    }
  });

  it('loses no sample that was put back', async () => {
    const all = await labels(null, 12);
    const ids = all.flatMap((label) => label.split(', ')).filter((label) => label.startsWith('a/'));
    expect(ids.map((id) => Number(/(\d+) /.exec(id)?.[1]))).toEqual(ids.map((_, index) => index));
  });

  it('takes batches from the sources by their weights', async () => {
    const all = await labels(null, 80);
    const share = all.filter((label) => label.startsWith('a/')).length / 80;
    expect(share).toBeGreaterThan(0.6);
    expect(share).toBeLessThan(0.9);
  });

  it('ends after its limit', async () => {
    const opened = stream(null, 1);
    expect(await opened.next()).toBeDefined();
    expect(await opened.next()).toBeUndefined();
  });

  it('refuses a position that knows nothing of a source', () => {
    expect(() => stream({ batch: 2, sources: { a: { index: 4 } } })).toThrow(
      '[train] the checkpoint has no position of the source "b"',
    );
  });
});

describe('SampleReader', () => {
  it('puts texts first as often as the source says', async () => {
    for (const [chance, least, most] of [
      [0, 0, 0],
      [1, 40, 40],
      [0.5, 10, 30],
    ] as const) {
      const reader = new SampleReader(source('c', 1, chance), options, undefined);
      let first = 0;
      for (let i = 0; i < 40; i++) first += Number((await reader.next()).textFirst);
      expect(first).toBeGreaterThanOrEqual(least);
      expect(first).toBeLessThanOrEqual(most);
    }
  });
});

describe('recipeSources', () => {
  it('says which source cannot be made, and why', () => {
    const wrong = sourceOptions.parse({ name: 'nothing', drawn_world: { kinds: { pair: 0 } } });
    expect(() => recipeSources({ sources: [wrong] })).toThrow(
      '[train] source "nothing": [drawn world] kinds needs at least one weight above 0, got none',
    );
  });
});
