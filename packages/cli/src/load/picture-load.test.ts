import { setTimeout } from 'node:timers/promises';

import type { GenerationStream } from '@emu/sdk';
import { expect, it } from 'vitest';

import { runPictureLoad, type PictureTarget } from './picture-load.js';

it('counts the pictures of all streams, however they overlap', async () => {
  let asked = 0;
  const target: PictureTarget = {
    imagine: () => {
      asked += 1;
      const images = (): Promise<readonly unknown[]> => setTimeout(5 + (asked % 3), [{}]);
      return { images } as unknown as GenerationStream;
    },
  };
  const start = performance.now();
  const signal = new AbortController().signal;
  const { picturesPerMinute, errors } = await runPictureLoad(target, {
    ...{ streams: 4, steps: 1, seconds: 0.05, signal },
  });
  const elapsed = performance.now() - start;
  expect(errors).toBe(0);
  expect(asked).toBeGreaterThanOrEqual(4);
  // The rate is over the time of the load alone, which is a little less than ours.
  const counted = (picturesPerMinute * elapsed) / 60_000;
  expect(counted).toBeGreaterThanOrEqual(asked);
  expect(counted).toBeLessThan(2 * asked);
});
