import { drawnWorld, type StreamPosition } from '@emu/data';
import { describe, expect, it } from 'vitest';

import { repeatedSource } from './repeated-source.js';

const source = repeatedSource(drawnWorld({ name: 'w', size: 16, kinds: { pair: 1 } }), 5);
const options = { seed: 1, split: 'train' } as const;

async function ids(count: number, position?: StreamPosition): Promise<string[]> {
  const stream = source.open({ ...options, position });
  const taken: string[] = [];
  for (let i = 0; i < count; i++) taken.push((await stream.next()).value?.id ?? 'end');
  await stream.close();
  return taken;
}

describe('repeatedSource', () => {
  it('gives the first samples over and over', async () => {
    const taken = await ids(12);
    expect(new Set(taken).size).toBe(5);
    expect(taken.slice(5, 10)).toEqual(taken.slice(0, 5));
  });

  it('goes on from any position, in the first round and later', async () => {
    const whole = await ids(20);
    for (const stop of [0, 2, 5, 7, 13]) {
      const stream = source.open(options);
      for (let i = 0; i < stop; i++) await stream.next();
      const position = JSON.parse(JSON.stringify(stream.position())) as StreamPosition;
      await stream.close();
      expect(await ids(20 - stop, position), `stopped after ${stop}`).toEqual(whole.slice(stop));
    }
  });

  it('refuses a position that is none', () => {
    expect(() => source.open({ ...options, position: 'five' })).toThrow(
      '[train] "five" is no position of the repeated source w',
    );
  });
});
