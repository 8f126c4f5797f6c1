import type { TestSettings } from './suite-test.js';

/** Answers asked for at a time; the engine decodes them together. */
export const answersAtOnce = 32;
/** Paintings under way at a time. */
export const paintingsAtOnce = 8;

/**
 * Does work for every item, at most `width` at a time, and keeps the order. The first failure stops what has not begun.
 */
export async function together<T, R>(
  items: readonly T[],
  width: number,
  { signal, onItem }: Pick<TestSettings, 'signal' | 'onItem'>,
  work: (item: T, index: number) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const queue = items.entries();
  let completed = 0;
  let hasFailed = false;
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      signal?.throwIfAborted();
      if (hasFailed) return;
      results[index] = await work(item, index);
      completed += 1;
      onItem(completed, items.length);
    }
  };
  const workers = Array.from({ length: width }, () =>
    worker().catch((error: unknown) => {
      hasFailed = true;
      throw error;
    }),
  );
  const settled = await Promise.allSettled(workers);
  for (const one of settled) if (one.status === 'rejected') throw one.reason;
  return results;
}
