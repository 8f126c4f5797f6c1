import { describe, expect, it } from 'vitest';

import { BatchQueue } from './batch-queue.js';
import { nextTask } from './next-task.js';

describe('the queue of equal work', () => {
  it('runs what waits together, up to its rows, and in its order', async () => {
    const runs: string[][] = [];
    const queue = new BatchQueue<string, string>(4, async (items) => {
      runs.push([...items]);
      await nextTask();
      return items.map((item) => item.toUpperCase());
    });
    const results = await Promise.all(['a', 'b', 'c'].map((item) => queue.submit(item, 2, undefined)));
    expect(results).toEqual(['A', 'B', 'C']);
    expect(runs).toEqual([['a', 'b'], ['c']]);
    expect(await queue.submit('large', 9, undefined)).toBe('LARGE'); // alone, since it can never fit
  });

  it('drops what was aborted, and stops a run only when nobody wants it', async () => {
    const stopped: boolean[] = [];
    const queue = new BatchQueue<number, number>(2, async (items, signal) => {
      await nextTask();
      stopped.push(signal.aborted);
      signal.throwIfAborted();
      return items;
    });
    const gone = new AbortController();
    const both = [queue.submit(1, 1, gone.signal), queue.submit(2, 1, undefined)];
    const waiting = queue.submit(3, 1, gone.signal);
    setImmediate(() => {
      gone.abort(new Error('gone'));
    });
    const settled = await Promise.allSettled([...both, waiting]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
    const alone = new AbortController();
    const last = queue.submit(4, 1, alone.signal);
    await nextTask();
    alone.abort(new Error('also gone'));
    await expect(last).rejects.toThrow('also gone');
    expect(stopped[0]).toBe(false);
  });

  it('hands a failure to all who were in the run, and goes on', async () => {
    let fails = true;
    const queue = new BatchQueue<number, number>(8, (items) =>
      fails ? Promise.reject(new Error('broken')) : Promise.resolve(items),
    );
    const settled = await Promise.allSettled([queue.submit(1, 1, undefined), queue.submit(2, 1, undefined)]);
    expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
    fails = false;
    expect(await queue.submit(5, 1, undefined)).toBe(5);
  });
});
