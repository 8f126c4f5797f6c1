import { EmuError } from '@emu/program';

/** Sizes of a paged key/value cache: L slots, P pages of Z positions, at most M pages per slot. */
export interface PagedCacheShape {
  readonly slots: number;
  readonly pages: number;
  readonly pageSize: number;
  readonly pagesPerSlot: number;
}

/** A page whose content must be copied before the next write. */
export interface PageCopy {
  readonly from: number;
  readonly to: number;
}

/**
 * Books of the paged key/value cache: which pages each slot (one sequence) holds, and how many slots share a page.
 * The values themselves live in the session. A fork shares all pages; the first of the sharers that writes into a
 * page gets a copy of it, so a beam costs one page copy and no recomputation.
 */
export class PagedCache {
  readonly #pageTable: Int32Array;
  /** Pages held by each slot; -1 for a slot that is free. */
  readonly #pageCounts: Int32Array;
  /** Slots that hold each page. */
  readonly #holders: Int32Array;
  readonly #freePages: number[];
  readonly #freeSlots: number[];
  /** Asked to release pages that are held for later use when fewer are free than a write needs. */
  reclaim: (pages: number) => void = () => undefined;

  constructor(readonly shape: PagedCacheShape) {
    const { slots, pages, pageSize, pagesPerSlot } = shape;
    for (const [name, value] of Object.entries({ slots, pages, pageSize, pagesPerSlot })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new EmuError(
          'INVALID_OPTION',
          `[kv cache] ${name} must be a whole number of at least 1, got ${value}`,
          {
            details: { [name]: value },
          },
        );
      }
    }
    this.#pageTable = new Int32Array(slots * pagesPerSlot);
    this.#pageCounts = new Int32Array(slots).fill(-1);
    this.#holders = new Int32Array(pages);
    // Taken from the end, so that low numbers go first.
    this.#freePages = Array.from({ length: pages }, (_, page) => pages - 1 - page);
    this.#freeSlots = Array.from({ length: slots }, (_, slot) => slots - 1 - slot);
  }

  /** Positions that one sequence can hold. */
  get longestSequence(): number {
    return this.shape.pagesPerSlot * this.shape.pageSize;
  }

  get freePages(): number {
    return this.#freePages.length;
  }

  get freeSlots(): number {
    return this.#freeSlots.length;
  }

  /**
   * Takes a slot for a new, empty sequence.
   * @throws EmuError OUT_OF_MEMORY when all slots are taken.
   */
  openSlot(): number {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) {
      throw new EmuError('OUT_OF_MEMORY', `[kv cache] all ${this.shape.slots} slots are in use`, {
        hint: 'Run fewer sequences at a time, or open the model with more cacheSlots.',
        details: { slots: this.shape.slots },
      });
    }
    this.#pageCounts[slot] = 0;
    return slot;
  }

  /**
   * Takes a slot for a sequence that begins as a copy of another; no values move.
   * @throws EmuError OUT_OF_MEMORY when all slots are taken; INTERNAL for a slot that is not open.
   */
  forkSlot(source: number): number {
    const count = this.#countOf(source);
    const slot = this.openSlot();
    for (let index = 0; index < count; index++) {
      const page = this.#pageAt(source, index);
      this.#setPage(slot, index, page);
      this.#holders[page] = this.holders(page) + 1;
    }
    this.#pageCounts[slot] = count;
    return slot;
  }

  /** Appends a page that somebody holds to a slot whose pages are all full; no values move. */
  appendShared(slot: number, page: number): void {
    const count = this.#countOf(slot);
    this.#setPage(slot, count, page);
    this.#holders[page] = this.holders(page) + 1;
    this.#pageCounts[slot] = count + 1;
  }

  /** Holds the `index`-th page of a slot beyond the slot's life; `releasePage` lets go. Returns the page. */
  holdPage(slot: number, index: number): number {
    if (index >= this.#countOf(slot))
      throw new EmuError('INTERNAL', `[kv cache] slot ${slot} has no page ${index}`, {
        details: { slot, index },
      });
    const page = this.#pageAt(slot, index);
    this.#holders[page] = this.holders(page) + 1;
    return page;
  }

  releasePage(page: number): void {
    this.#release(page);
  }

  /** How many slots, and others that hold it, share a page. */
  holders(page: number): number {
    return this.#holders[page] ?? 0;
  }

  /** Gives back a slot and the pages that no other slot shares. */
  closeSlot(slot: number): void {
    const count = this.#countOf(slot);
    for (let index = count - 1; index >= 0; index--) this.#release(this.#pageAt(slot, index));
    this.#pageCounts[slot] = -1;
    this.#freeSlots.push(slot);
  }

  /**
   * Makes `position` of a slot writable: appends the pages that are missing and splits a shared page. Copies that the
   * session must make before the write are added to `copies`.
   * @throws EmuError CONTEXT_LENGTH_EXCEEDED beyond the longest sequence; OUT_OF_MEMORY when no page is free, with
   *   nothing changed.
   */
  prepareWrite(slot: number, position: number, copies: PageCopy[]): void {
    const { pageSize, pages } = this.shape;
    const count = this.#countOf(slot);
    if (!Number.isInteger(position) || position < 0 || position >= this.longestSequence) {
      throw new EmuError(
        'CONTEXT_LENGTH_EXCEEDED',
        `[kv cache] position ${position} is needed, a sequence holds ${this.longestSequence} positions`,
        { details: { position, longestSequence: this.longestSequence } },
      );
    }
    const index = Math.floor(position / pageSize);
    const missing = Math.max(0, index + 1 - count);
    const shared = missing === 0 && this.holders(this.#pageAt(slot, index)) > 1;
    const needed = missing + (shared ? 1 : 0);
    if (needed > this.#freePages.length) this.reclaim(needed - this.#freePages.length);
    if (needed > this.#freePages.length) {
      throw new EmuError(
        'OUT_OF_MEMORY',
        `[kv cache] ${needed} more pages are needed, ${this.#freePages.length} of ${pages} (each ${pageSize} positions) are free`,
        {
          hint: 'Run fewer or shorter sequences at a time, or open the model with more cacheTokens.',
          details: { needed, free: this.#freePages.length, pages, pageSize },
        },
      );
    }
    if (shared) {
      const from = this.#pageAt(slot, index);
      const to = this.#takePage();
      this.#release(from);
      this.#setPage(slot, index, to);
      copies.push({ from, to });
    }
    for (let added = 0; added < missing; added++) this.#setPage(slot, count + added, this.#takePage());
    this.#pageCounts[slot] = Math.max(count, index + 1);
  }

  /** i32[L,M] as programs take it; a copy, since a run must not see later changes. */
  pageTable(): Int32Array {
    return this.#pageTable.slice();
  }

  #takePage(): number {
    const page = this.#freePages.pop();
    if (page === undefined) throw new EmuError('INTERNAL', '[kv cache] no page left after the check');
    this.#holders[page] = 1;
    return page;
  }

  #release(page: number): void {
    const holders = this.holders(page) - 1;
    this.#holders[page] = holders;
    if (holders === 0) this.#freePages.push(page);
  }

  #countOf(slot: number): number {
    const count = this.#pageCounts[slot] ?? -1;
    if (count < 0)
      throw new EmuError('INTERNAL', `[kv cache] slot ${slot} is not open`, { details: { slot } });
    return count;
  }

  #pageAt(slot: number, index: number): number {
    return this.#pageTable[slot * this.shape.pagesPerSlot + index] ?? -1;
  }

  #setPage(slot: number, index: number, page: number): void {
    this.#pageTable[slot * this.shape.pagesPerSlot + index] = page;
  }
}
