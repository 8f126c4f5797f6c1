import { describe, expect, it } from 'vitest';

import { PageIndex } from './page-index.js';
import { PagedCache, type PageCopy } from './paged-cache.js';
import type { Element } from './step.js';

const shape = { slots: 4, pages: 6, pageSize: 2, pagesPerSlot: 5 };

/** A slot that has taken over what is known of a prompt and computed the rest; returns it and what it took over. */
function run(cache: PagedCache, index: PageIndex, prompt: readonly Element[]): [number, number] {
  const slot = cache.openSlot();
  const adopted = index.adopt(slot, prompt);
  const copies: PageCopy[] = [];
  for (let position = adopted; position < prompt.length; position++)
    cache.prepareWrite(slot, position, copies);
  index.keep(slot, prompt);
  expect(copies).toEqual([]);
  return [slot, adopted];
}

describe('pages kept by content', () => {
  it('serve prompts that begin alike, and never the element whose result is wanted', () => {
    const cache = new PagedCache(shape);
    const index = new PageIndex(cache);
    const [first] = run(cache, index, [1, 2, 3, 4, 5]);
    cache.closeSlot(first);
    expect([index.size, cache.freePages]).toEqual([2, 4]);
    const [same, all] = run(cache, index, [1, 2, 3, 4]);
    expect(all).toBe(2); // position 3 is computed again for its logits
    const [other, part] = run(cache, index, [1, 2, 9, 9, 9]);
    expect(part).toBe(2);
    const [none, nothing] = run(cache, index, [2, 1, 3]);
    expect(nothing).toBe(0);
    for (const slot of [same, other, none]) cache.closeSlot(slot);
  });

  it('tell embeddings apart by every bit, and keep copies of their own', () => {
    const cache = new PagedCache(shape);
    const index = new PageIndex(cache);
    const picture = Float32Array.of(1, 0, -2);
    const [slot] = run(cache, index, [7, picture, 8]);
    const known = (embedding: Float32Array): number => {
      const other = cache.openSlot();
      const adopted = index.adopt(other, [7, embedding, 8]);
      cache.closeSlot(other);
      return adopted;
    };
    expect(known(Float32Array.of(1, 0, -2))).toBe(2);
    expect(known(Float32Array.of(1, -0, -2))).toBe(0);
    picture[0] = 5;
    expect(known(Float32Array.of(1, 0, -2))).toBe(2);
    expect(known(picture)).toBe(0);
    cache.closeSlot(slot);
  });

  it('give way to sequences that need room, the oldest ends first, and never those in use', () => {
    const cache = new PagedCache(shape);
    const index = new PageIndex(cache);
    for (const prompt of [
      [1, 2, 3, 4],
      [5, 6],
    ])
      cache.closeSlot(run(cache, index, prompt)[0]);
    const [held] = run(cache, index, [1, 2, 7, 8]); // uses the page of 1, 2
    expect([index.size, cache.freePages]).toEqual([4, 2]);
    const [large] = run(cache, index, [10, 11, 12, 13, 14, 15]); // needs 3: [3,4] goes
    expect(cache.freePages).toBe(0);
    const probe = (prompt: readonly Element[]): number => {
      const slot = cache.openSlot();
      const adopted = index.adopt(slot, prompt);
      cache.closeSlot(slot);
      return adopted;
    };
    expect([probe([1, 2, 3, 4, 0]), probe([5, 6, 0]), probe([1, 2, 7, 8, 0])]).toEqual([2, 2, 4]);
    cache.closeSlot(large);
    cache.closeSlot(held);
    const [whole] = run(
      cache,
      index,
      Array.from({ length: 10 }, (_, id) => 100 + id),
    );
    cache.closeSlot(whole);
    expect(cache.freePages + index.size).toBe(6);
  });

  it('are let go with their continuation when that is held under another beginning', () => {
    const cache = new PagedCache({ ...shape, pages: 5 });
    const index = new PageIndex(cache);
    const early = cache.openSlot(); // begins before the others have kept anything
    cache.closeSlot(run(cache, index, [1, 2])[0]);
    const copies: PageCopy[] = [];
    for (let position = 0; position < 4; position++) cache.prepareWrite(early, position, copies);
    index.keep(early, [1, 2, 3, 4]); // its page of 3, 4 continues the other's page of 1, 2
    expect(cache.freePages).toBe(2);
    const late = cache.openSlot();
    for (let position = 0; position < 6; position++) cache.prepareWrite(late, position, copies);
    expect([cache.freePages, index.size]).toEqual([0, 0]);
    cache.closeSlot(early);
    cache.closeSlot(late);
    expect(cache.freePages).toBe(5);
  });
});
