import { describe, expect, it } from 'vitest';

import { PagedCache, type PageCopy } from './paged-cache.js';

const shape = { slots: 3, pages: 5, pageSize: 4, pagesPerSlot: 3 };

function fill(cache: PagedCache, slot: number, from: number, to: number): PageCopy[] {
  const copies: PageCopy[] = [];
  for (let position = from; position < to; position++) cache.prepareWrite(slot, position, copies);
  return copies;
}

describe('the paged cache', () => {
  it('gives pages as positions come and takes them back', () => {
    const cache = new PagedCache(shape);
    const slot = cache.openSlot();
    expect(fill(cache, slot, 0, 5)).toEqual([]);
    expect([cache.freePages, cache.freeSlots]).toEqual([3, 2]);
    expect([...cache.pageTable().slice(0, 2)]).toEqual([0, 1]);
    cache.closeSlot(slot);
    expect([cache.freePages, cache.freeSlots]).toEqual([5, 3]);
  });

  it('shares pages after a fork and copies only the page that is written', () => {
    const cache = new PagedCache(shape);
    const parent = cache.openSlot();
    fill(cache, parent, 0, 6);
    const child = cache.forkSlot(parent);
    expect(cache.freePages).toBe(3);
    expect(fill(cache, child, 6, 8)).toEqual([{ from: 1, to: 2 }]);
    // The parent is the only holder now, so it writes in place.
    expect(fill(cache, parent, 6, 8)).toEqual([]);
    const table = cache.pageTable();
    expect([...table.slice(parent * 3, parent * 3 + 2)]).toEqual([0, 1]);
    expect([...table.slice(child * 3, child * 3 + 2)]).toEqual([0, 2]);
    cache.closeSlot(parent);
    expect(cache.freePages).toBe(3); // page 0 is still the child's
    cache.closeSlot(child);
    expect(cache.freePages).toBe(5);
  });

  it('says what is too much', () => {
    const cache = new PagedCache(shape);
    const slots = [cache.openSlot(), cache.openSlot(), cache.openSlot()];
    expect(() => cache.openSlot()).toThrow('[kv cache] all 3 slots are in use');
    const [first = 0, second = 1] = slots;
    expect(() => fill(cache, first, 12, 13)).toThrow(
      '[kv cache] position 12 is needed, a sequence holds 12 positions',
    );
    fill(cache, first, 0, 12);
    fill(cache, second, 0, 8);
    expect(() => fill(cache, second, 8, 9)).toThrow(
      '[kv cache] 1 more pages are needed, 0 of 5 (each 4 positions) are free',
    );
    cache.closeSlot(first);
    expect(fill(cache, second, 8, 9)).toEqual([]);
    expect(() => {
      cache.closeSlot(first);
    }).toThrow('[kv cache] slot 0 is not open');
    expect(() => new PagedCache({ ...shape, pages: 0 })).toThrow(
      '[kv cache] pages must be a whole number of at least 1, got 0',
    );
  });

  it('never loses or doubles a page, whatever the order of work', () => {
    const cache = new PagedCache({ slots: 8, pages: 40, pageSize: 2, pagesPerSlot: 10 });
    const open = new Map<number, number>();
    let state = 12345;
    const random = (count: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return Math.floor((state / 2 ** 32) * count);
    };
    for (let round = 0; round < 3000; round++) {
      const slots = [...open.keys()];
      const slot = slots[random(slots.length)];
      const action = random(4);
      if (action === 0 && cache.freeSlots > 0) open.set(cache.openSlot(), 0);
      else if (slot === undefined) continue;
      else if (action === 1 && cache.freeSlots > 0) open.set(cache.forkSlot(slot), open.get(slot) ?? 0);
      else if (action === 2 && (open.get(slot) ?? 0) < 20 && cache.freePages > 0) {
        fill(cache, slot, open.get(slot) ?? 0, (open.get(slot) ?? 0) + 1);
        open.set(slot, (open.get(slot) ?? 0) + 1);
      } else if (action === 3) {
        cache.closeSlot(slot);
        open.delete(slot);
      }
      const table = cache.pageTable();
      const held = [...open].flatMap(([each, length]) => [
        ...table.slice(each * 10, each * 10 + Math.ceil(length / 2)),
      ]);
      expect(new Set(held).size + cache.freePages).toBe(40);
    }
    for (const slot of open.keys()) cache.closeSlot(slot);
    expect(cache.freePages).toBe(40);
  });
});
