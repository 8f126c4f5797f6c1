// Where a row of a paged cache lies: page pageTable[slot, position div Z], offset position mod Z.
import { checkedIndex } from './tensor-access.js';

/** What a cache holds: a page has its keys positions last, [G,K,Z], and its values row by row, [G,Z,K]. */
export type CachePart = 'keys' | 'values';

/** Heads G, rows per page Z, width of a head K. */
export interface PageLayout {
  readonly heads: number;
  readonly pageSize: number;
  readonly width: number;
}

/** Where element 0 of a head lies, and how far apart its elements are. */
export interface HeadPlace {
  readonly start: number;
  readonly step: number;
}

/** The place of a head of cache row `row`, as `cacheRow` counts them. */
export function headPlace(
  part: CachePart,
  { heads, pageSize, width }: PageLayout,
  row: number,
  head: number,
): HeadPlace {
  const [page, offset] = [Math.floor(row / pageSize), row % pageSize];
  const start = (page * heads + head) * pageSize * width;
  return part === 'keys'
    ? { start: start + offset, step: pageSize }
    : { start: start + offset * width, step: 1 };
}

export interface PagedCache {
  readonly op: string;
  /** Pages P and rows per page Z of the cache. */
  readonly pageCount: number;
  readonly pageSize: number;
  /** i32[L,M] */
  readonly pageTable: Int32Array;
  readonly slotCount: number;
  readonly pagesPerSlot: number;
}

/**
 * Index of the cache row that holds `position` of `slot`, counted over all pages; `row` names the asking row in
 * errors. The slot has been checked.
 * @throws EmuError INVALID_OPTION if the position or its page is out of range.
 */
export function cacheRow(cache: PagedCache, slot: number, position: number, row: number): number {
  const { op, pageSize, pagesPerSlot } = cache;
  checkedIndex(op, 'position', row, position, pagesPerSlot * pageSize);
  const entry = cache.pageTable[slot * pagesPerSlot + Math.floor(position / pageSize)] as number;
  return checkedIndex(op, 'page', row, entry, cache.pageCount) * pageSize + (position % pageSize);
}

/** The slot of a row, or -1 for a row that is to be ignored. */
export function checkedSlot(cache: PagedCache, slot: number, row: number): number {
  return checkedIndex(cache.op, 'slot', row, slot, cache.slotCount, -1);
}
