import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Sample, SampleImage, SampleSource, StreamPosition } from '../sample.js';
import { expandShards } from './shard-names.js';
import { shards } from './shards.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-shards-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Pictures of these tests are PPM files: a header in text, then the bytes. */
const ppm = (width: number, height: number, level: number): Buffer =>
  Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), Buffer.alloc(width * height * 3, level)]);

function decodePpm(bytes: Uint8Array): Promise<SampleImage> {
  const end = bytes.indexOf(10);
  const header = /^P6 (\d+) (\d+) 255$/.exec(Buffer.from(bytes.subarray(0, end)).toString());
  const [width, height] = [Number(header?.[1]), Number(header?.[2])];
  const data = bytes.subarray(end + 1);
  if (header === null || data.length !== width * height * 3) return Promise.reject(new Error('no PPM file'));
  return Promise.resolve({ width, height, data });
}

async function writeShard(
  name: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<string> {
  const archive = pack();
  for (const [path, content] of Object.entries(files)) archive.entry({ name: path }, Buffer.from(content));
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  const path = join(folder, name);
  await writeFile(path, Buffer.concat(chunks));
  return path;
}

/** Three shards of four pairs each; the level of a picture is the number of its sample. */
async function writePairs(name: string): Promise<string> {
  for (const shard of [0, 1, 2]) {
    const keys = [0, 1, 2, 3].map((at) => shard * 4 + at);
    const files = keys.flatMap((key): [string, Uint8Array | string][] => [
      [`part/${key}.png`, ppm(2, 1, key)],
      [`part/${key}.txt`, ` picture ${key}.\n`],
      [`part/${key}.json`, '{"width": 2}'],
    ]);
    await writeShard(`${name}-00${shard}.tar`, Object.fromEntries(files));
  }
  return join(folder, `${name}-{000..002}.tar`);
}

const sourceOf = (train: string): SampleSource => shards({ name: 'pairs', train, decode: decodePpm });

async function all(source: SampleSource, seed = 1, position?: StreamPosition): Promise<Sample[]> {
  const stream = source.open({ seed, split: 'train', position });
  const samples: Sample[] = [];
  for await (const sample of stream) samples.push(sample);
  return samples;
}

const textOf = ({ elements }: Sample): string =>
  elements.flatMap((element) => (element.type === 'text' ? [element.text] : [])).join('|');

describe('shards', () => {
  it('names the files of a range', () => {
    expect(expandShards('a-{08..11}.tar')).toEqual(['a-08.tar', 'a-09.tar', 'a-10.tar', 'a-11.tar']);
    expect(expandShards('one.tar')).toEqual(['one.tar']);
    for (const wrong of ['a-{3..1}.tar', 'a-{x}.tar', 'a-{0..9999999}.tar', '{0..1}{0..1}'])
      expect(() => expandShards(wrong), wrong).toThrow(`[shards] ${JSON.stringify(wrong)}`);
  });

  it('gives every pair once, whole shards in an order of the seed', async () => {
    const source = sourceOf(await writePairs('order'));
    const samples = await all(source);
    expect(samples.map(({ kind }) => kind)).toEqual(samples.map(() => 'pair'));
    for (const sample of samples) {
      const [picture] = sample.elements;
      const level = picture?.type === 'image' ? picture.image.data[0] : undefined;
      expect(textOf(sample)).toBe(`picture ${level}.`);
      expect(sample.id).toMatch(/order-00\d\.tar#part\/\d+$/);
    }
    const texts = samples.map(textOf);
    expect(new Set(texts).size).toBe(12);
    expect((await all(source)).map(textOf)).toEqual(texts);
    const orders = await Promise.all(
      [1, 2, 3, 4, 5, 6].map(async (seed) => (await all(source, seed)).map(textOf)),
    );
    expect(new Set(orders.map(([first]) => first)).size).toBeGreaterThan(1);
    expect(orders.every(([first]) => /^picture [048]\.$/.test(first ?? ''))).toBe(true);
  });

  it('goes on from every position, whatever is decoded ahead', async () => {
    const source = sourceOf(await writePairs('resume'));
    const whole = (await all(source)).map(textOf);
    for (const ahead of [1, 5, 64]) {
      const stream = source.open({ seed: 1, split: 'train', ahead });
      for (let taken = 0; taken <= whole.length; taken++) {
        const rest = await all(source, 1, stream.position());
        expect(rest.map(textOf)).toEqual(whole.slice(taken));
        await stream.next();
      }
      expect(await all(source, 1, stream.position())).toEqual([]);
      await stream.close();
    }
  });

  it('reads interleaved samples', async () => {
    const json = {
      kind: 'question',
      elements: [
        { type: 'image', file: '0.png', role: 'user', timeSeconds: 1.5 },
        { type: 'text', text: 'which one?', role: 'user' },
        { type: 'text', text: 'the second.', role: 'assistant' },
      ],
    };
    const train = await writeShard('mixed.tar', { 'a.0.png': ppm(1, 1, 9), 'a.json': JSON.stringify(json) });
    expect(await all(sourceOf(train))).toEqual([
      {
        id: `${train}#a`,
        source: 'pairs',
        kind: 'question',
        elements: [
          {
            ...{ type: 'image', role: 'user', timeSeconds: 1.5 },
            image: { width: 1, height: 1, data: ppm(1, 1, 9).subarray(-3) },
          },
          json.elements[1],
          json.elements[2],
        ],
      },
    ]);
  });

  it('names a missing shard before anything is read', async () => {
    const train = await writePairs('missing');
    await rm(join(folder, 'missing-001.tar'));
    expect(() => sourceOf(train).open({ seed: 1, split: 'train' })).toThrow(
      `[shards] there is no shard ${join(folder, 'missing-001.tar')}`,
    );
  });

  it.each([
    ['a picture', { 'k.png': 'P6 9 9 255\nshort', 'k.txt': 'x' }, 'no PPM file'],
    ['no text', { 'k.png': ppm(1, 1, 0) }, 'a pair has one picture and a txt, this one has .png'],
    ['an empty text', { 'k.png': ppm(1, 1, 0), 'k.txt': ' \n' }, 'its txt is empty'],
    ['bytes for text', { 'k.png': ppm(1, 1, 0), 'k.txt': Uint8Array.of(0xff) }, 'its txt is not UTF-8'],
    ['half a json', { 'k.json': '{"elements": [' }, 'JSON'],
    ['a kind', { 'k.json': '{"kind":"song","elements":[]}' }, 'its kind is "song", none of pair'],
    [
      'a role',
      { 'k.json': '{"kind":"document","elements":[{"type":"text","text":"a","role":"god"}]}' },
      '"god"',
    ],
    [
      'a file',
      { 'k.json': '{"kind":"document","elements":[{"type":"image","file":"0.png"}]}' },
      '"0.png", is not',
    ],
  ])('names sample and shard: %s', async (_, files: Record<string, Uint8Array | string>, reason) => {
    const good = { 'first.png': ppm(1, 1, 0), 'first.txt': 'good' };
    const train = await writeShard('wrong.tar', { ...good, ...files });
    const stream = sourceOf(train).open({ seed: 1, split: 'train' });
    expect((await stream.next()).value).toMatchObject({ id: `${train}#first` });
    const failure: unknown = await stream.next().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'DATA_CORRUPT', details: { shard: train, sample: 'k' } });
    expect(String(failure)).toContain(`sample "k" of ${train}: `);
    expect(String(failure)).toContain(reason);
    // It stays the next one: a resumed run meets it again, or its repaired file.
    expect(stream.position()).toEqual({ shard: 0, sample: 1 });
    await stream.close();
  });

  it('names a damaged shard, wherever it is cut off', async () => {
    const train = await writeShard('cut.tar', {
      'a.png': ppm(20, 20, 1),
      'a.txt': 'a',
      'b.png': ppm(20, 20, 2),
      'b.txt': 'b',
    });
    const { length } = await readFile(train);
    for (let size = length - 1; size > 0; size -= 511) {
      await truncate(train, size);
      await expect(all(sourceOf(train)), `${size} bytes`).rejects.toThrow(
        `[shards] the shard ${train} cannot be read`,
      );
    }
    await writeFile(train, Buffer.concat([Buffer.alloc(4096, 65), Buffer.alloc(1024)]));
    await expect(all(sourceOf(train))).rejects.toThrow(
      `[shards] the shard ${train} cannot be read before its first`,
    );
  });

  it('refuses a split without shards and a position of another source', async () => {
    const source = sourceOf(await writePairs('splits'));
    expect(() => source.open({ seed: 1, split: 'evaluation' })).toThrow(
      "'pairs' has no shards of split evaluation",
    );
    expect(() => source.open({ seed: 1, split: 'train', position: { index: 3 } })).toThrow('got {"index":3}');
  });
});
