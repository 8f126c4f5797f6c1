import type { PagedCache } from './paged-cache.js';
import type { Element } from './step.js';

/** A full page of a prompt that is kept for prompts to come. */
interface KeptPage {
  readonly page: number;
  /** The elements whose keys and values the page holds. */
  readonly elements: readonly Element[];
  readonly parent: KeptPage | undefined;
  /** Pages that continue this one, by hash; several where hashes collide. */
  readonly children: Map<number, KeptPage[]>;
}

/**
 * The key/value cache by content: which pages hold which elements, so that a system message, examples or a picture
 * that many prompts begin with is computed once. Pages form a tree from the start of a sequence; a page counts only
 * together with all pages before it, since a key depends on everything before. Token ids and embeddings are compared
 * themselves, the hash only finds them, so two prompts are never taken for each other. A row has the same bits in
 * any batch (docs/decisions/004), so a page found here is bit for bit what the prompt would have computed.
 */
export class PageIndex {
  readonly #cache: PagedCache;
  readonly #roots = new Map<number, KeptPage[]>();
  /** In the order of their last use, oldest first. */
  readonly #kept = new Set<KeptPage>();
  #positionsShared = 0;

  /** Takes over the cache's `reclaim`: pages kept here go when sequences need room. */
  constructor(cache: PagedCache) {
    this.#cache = cache;
    cache.reclaim = (pages) => {
      this.#evict(pages);
    };
  }

  /** Positions that prompts have found here so far. */
  get positionsShared(): number {
    return this.#positionsShared;
  }

  /** Pages kept at the moment. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * Gives a new, empty slot the pages that are known of a prompt; returns the positions that it then holds. The last
   * element is never among them: someone has to compute the row that results are wanted of.
   */
  adopt(slot: number, prompt: readonly Element[]): number {
    const { pageSize } = this.#cache.shape;
    let siblings = this.#roots;
    let length = 0;
    while (length + pageSize < prompt.length) {
      const found = findPage(siblings, prompt, length, pageSize);
      if (found === undefined) break;
      this.#cache.appendShared(slot, found.page);
      this.#touch(found);
      siblings = found.children;
      length += pageSize;
    }
    this.#positionsShared += length;
    return length;
  }

  /** Keeps the full pages of a prompt that `slot` has computed. */
  keep(slot: number, prompt: readonly Element[]): void {
    const { pageSize } = this.#cache.shape;
    let parent: KeptPage | undefined;
    for (let start = 0; start + pageSize <= prompt.length; start += pageSize) {
      const siblings: Map<number, KeptPage[]> = parent?.children ?? this.#roots;
      const known = findPage(siblings, prompt, start, pageSize);
      parent = known ?? this.#add(siblings, slot, prompt.slice(start, start + pageSize), start, parent);
      this.#touch(parent);
    }
  }

  #add(
    siblings: Map<number, KeptPage[]>,
    slot: number,
    elements: readonly Element[],
    start: number,
    parent: KeptPage | undefined,
  ): KeptPage {
    const page = this.#cache.holdPage(slot, start / elements.length);
    // Embeddings are often views of larger arrays, which must not be kept alive or change below us.
    const own = elements.map((element) => (typeof element === 'number' ? element : element.slice()));
    const kept: KeptPage = { page, elements: own, parent, children: new Map() };
    const hash = hashOf(own, 0, own.length);
    siblings.set(hash, [...(siblings.get(hash) ?? []), kept]);
    return kept;
  }

  #touch(kept: KeptPage): void {
    this.#kept.delete(kept);
    this.#kept.add(kept);
  }

  /**
   * Lets go of pages that no slot holds, the least recently used first, until so many came free. Ends of the tree go
   * before their beginnings, which more prompts share.
   */
  #evict(pages: number): void {
    let wanted = pages - this.#evictWhere(pages, (kept) => kept.children.size === 0);
    while (wanted > 0) {
      // What is left continues in a page that a slot holds, but computed its beginning for itself.
      const freed = this.#evictWhere(1, () => true);
      if (freed === 0) return;
      wanted -= freed;
    }
  }

  #evictWhere(pages: number, isChosen: (kept: KeptPage) => boolean): number {
    let freed = 0;
    for (let before = -1; freed < pages && freed > before;) {
      before = freed; // a round may turn pages into ends that the next one can take
      for (const kept of this.#kept) {
        if (freed >= pages) break;
        if (!isChosen(kept) || this.#cache.holders(kept.page) > 1) continue;
        this.#remove(kept);
        freed += 1;
      }
    }
    return freed;
  }

  /** Forgets a page and what continues it; slots that hold them are not touched. */
  #remove(kept: KeptPage): void {
    for (const children of [...kept.children.values()]) for (const child of children) this.#remove(child);
    const siblings = kept.parent?.children ?? this.#roots;
    const hash = hashOf(kept.elements, 0, kept.elements.length);
    const left = (siblings.get(hash) ?? []).filter((other) => other !== kept);
    if (left.length === 0) siblings.delete(hash);
    else siblings.set(hash, left);
    this.#kept.delete(kept);
    this.#cache.releasePage(kept.page);
  }
}

function findPage(
  siblings: ReadonlyMap<number, readonly KeptPage[]>,
  prompt: readonly Element[],
  start: number,
  length: number,
): KeptPage | undefined {
  const candidates = siblings.get(hashOf(prompt, start, length));
  return candidates?.find(({ elements }) =>
    elements.every((element, index) => sameElement(element, prompt[start + index])),
  );
}

function sameElement(a: Element, b: Element | undefined): boolean {
  if (typeof a === 'number' || typeof b === 'number' || b === undefined) return a === b;
  // Object.is tells 0 from -0, and takes NaN for itself: the same bits, as far as a result can depend on them.
  return a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
}

/** FNV-1a over ids and the bits of embeddings. */
function hashOf(elements: readonly Element[], start: number, length: number): number {
  let hash = 0x811c9dc5;
  const mix = (word: number): void => {
    hash = Math.imul(hash ^ word, 0x01000193);
    hash ^= hash >>> 15;
  };
  for (let index = start; index < start + length; index++) {
    const element = elements[index];
    if (typeof element === 'number') mix(element);
    else if (element !== undefined) for (const bits of bitsOf(element)) mix(bits);
  }
  return hash >>> 0;
}

function bitsOf(embedding: Float32Array): Int32Array {
  return new Int32Array(embedding.buffer, embedding.byteOffset, embedding.length);
}
