import { expect, it } from 'vitest';

import { StepQueue } from './step-queue.js';

it('gives the event loop a turn between runs that are over at once', async () => {
  const queue = new StepQueue(8, (batch) => {
    for (const { taken, results } of batch) results.push(...taken.map(() => ({})));
    return Promise.resolve();
  });
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (turns < 100) setImmediate(count);
  };
  setImmediate(count);
  for (let step = 0; step < 20; step++) {
    await queue.submit([{ slot: 0, position: step, element: 1 }], undefined);
  }
  expect(turns).toBeGreaterThanOrEqual(18);
});

it('begins the next run of a step that has rows left, and of one that came meanwhile, in order of their length', async () => {
  const runs: number[][] = [];
  const queue = new StepQueue(4, async (batch) => {
    runs.push(batch.flatMap(({ taken }) => taken.map(({ slot }) => slot)));
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (const { taken, results } of batch) results.push(...taken.map(() => ({})));
  });
  const rows = (slot: number, count: number) =>
    Array.from({ length: count }, (_, position) => ({ slot, position, element: 1 }));
  const long = queue.submit(rows(1, 6), undefined);
  const short = queue.submit(rows(2, 1), undefined);
  expect([(await long).length, (await short).length]).toEqual([6, 1]);
  expect(runs).toEqual([
    [2, 1, 1, 1],
    [1, 1, 1],
  ]);
});
