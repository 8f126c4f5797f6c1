import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DrawnRecipe } from '../drawn-sample.js';
import { drawnWorld } from '../drawn-world.js';
import type { Sample, SampleSource, SampleStream, StreamPosition } from '../sample.js';
import { openIndexedStream } from './indexed-stream.js';
import { mixSources } from './mix.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'emu-data-'));
const workerFile = pathToFileURL(join(folder, 'worker.mjs'));
const recipe: DrawnRecipe = {
  name: 'test',
  size: 32,
  kinds: { pair: 2, question: 1, blend: 1 },
  shots: [2],
  classes: 3,
  examples: { pictures: 1 },
  alike: 1,
  leastObjects: 1,
  mostObjects: 3,
  questions: 1,
  gray: 0,
  seed: 11,
  split: 'train',
};

beforeAll(async () => {
  await build({
    entryPoints: [join(here, 'drawn-worker.ts')],
    outfile: fileURLToPath(workerFile),
    bundle: true,
    platform: 'node',
    format: 'esm',
  });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function take(stream: SampleStream, count: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  while (samples.length < count) {
    const { value } = await stream.next();
    if (value === undefined) break;
    samples.push(value);
  }
  return samples;
}

describe('indexed stream', () => {
  it('yields the same samples with and without workers, and goes on from any position', async () => {
    const inline = openIndexedStream({ recipe, first: 0, workers: 0, ahead: 64, workerFile });
    const expected = await take(inline, 40);
    for (const [workers, ahead] of [
      [1, 1],
      [2, 5],
      [2, 64],
    ] as const) {
      const stream = openIndexedStream({ recipe, first: 0, workers, ahead, workerFile });
      expect(await take(stream, 23)).toEqual(expected.slice(0, 23));
      const { index } = stream.position() as { index: number };
      await stream.close();
      const resumed = openIndexedStream({ recipe, first: index, workers, ahead, workerFile });
      expect(await take(resumed, 17)).toEqual(expected.slice(23));
      await resumed.close();
    }
  });

  it('gives overlapping calls different samples', async () => {
    const stream = openIndexedStream({ recipe, first: 3, workers: 0, ahead: 1, workerFile });
    const taken = await Promise.all([stream.next(), stream.next(), stream.next()]);
    expect(taken.map(({ value }) => value?.id.split('/').at(-1))).toEqual(['3', '4', '5']);
  });

  it('ends after close, also for a reader that waits, and can be closed twice', async () => {
    const stream = openIndexedStream({ recipe, first: 0, workers: 1, ahead: 16, workerFile });
    const waiting = stream.next();
    await stream.close();
    expect((await waiting.catch(() => ({ done: true }))).done).toBe(true);
    await stream.close();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it('names the samples when a worker dies', async () => {
    const deadly = join(folder, 'deadly.mjs');
    writeFileSync(deadly, 'export default () => process.exit(7);');
    const stream = openIndexedStream({
      recipe,
      first: 40,
      workers: 1,
      ahead: 8,
      workerFile: pathToFileURL(deadly),
    });
    await expect(stream.next()).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringMatching(
        /^\[drawn world\] a worker failed at samples 40\.\.47 of 'test': /,
      ) as string,
    });
    await stream.close();
  });
});

/** A source with an end. */
function counting(name: string, count: number): SampleSource {
  return {
    name,
    open: ({ position }) => {
      let at = typeof position === 'number' ? position : 0;
      const next = (): Promise<IteratorResult<Sample, undefined>> =>
        Promise.resolve(
          at < count
            ? { done: false, value: { id: `${name}${at++}`, source: name, kind: 'pair', elements: [] } }
            : { done: true, value: undefined },
        );
      return {
        next,
        position: () => at,
        close: () => Promise.resolve(),
        [Symbol.asyncIterator]: () => ({ next }),
      };
    },
  };
}

describe('mixSources', () => {
  const mix = mixSources('mix', [
    { source: counting('a', 4), weight: 1 },
    { source: counting('b', 20), weight: 1 },
    { source: drawnWorld({ name: 'c', size: 16 }), weight: 2 },
  ]);

  it('goes on exactly from every position, also past the end of a source', async () => {
    const open = (position?: StreamPosition): SampleStream => mix.open({ seed: 3, split: 'train', position });
    const whole = await take(open(), 60);
    const stream = open();
    for (let at = 0; at < 50; at++) {
      const position = JSON.parse(JSON.stringify(stream.position())) as StreamPosition;
      const resumed = await take(open(position), 5);
      expect(resumed.map(({ id }) => id)).toEqual(whole.slice(at, at + 5).map(({ id }) => id));
      await stream.next();
    }
    expect(new Set(whole.map(({ source }) => source)).size).toBe(3);
  });

  it('draws by weight and ends with its last source', async () => {
    const finite = mixSources('finite', [
      { source: counting('a', 300), weight: 3 },
      { source: counting('b', 300), weight: 1 },
    ]);
    const samples = await take(finite.open({ seed: 1, split: 'train' }), 1000);
    expect(samples).toHaveLength(600);
    const early = samples.slice(0, 200).filter(({ source }) => source === 'a').length;
    expect(early / 200).toBeCloseTo(0.75, 1);
  });

  it('refuses what it cannot mix', () => {
    expect(() => mixSources('m', [])).toThrow('[m] every source needs a weight above 0, got no source');
    const a = { source: counting('a', 1), weight: 1 };
    expect(() => mixSources('m', [a, a])).toThrow("[m] two sources are named 'a'");
    expect(() => mixSources('m', [{ ...a, weight: 0 }])).toThrow("got 0 for 'a'");
    expect(() => mix.open({ seed: 1, split: 'train', position: 5 })).toThrow('[mix] a position is');
  });
});
