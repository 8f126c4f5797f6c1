import { EmuError } from '@emu/program';

import type { BpeVocabulary } from './vocabulary.js';

/** Positions share a double with the rank, so one text has fewer characters than this. */
export const maxSymbols = 2 ** 24;

const utf8 = new TextEncoder();

/**
 * Byte-pair encoding as sentencepiece does it (Sennrich et al. 2016): the pair of the best rank is joined first,
 * the leftmost of equals, until none is left. Characters that are no piece become their UTF-8 bytes.
 *
 * Linear for ordinary text: between two characters that stand side by side in no piece nothing can be joined, so
 * the text is cut there. A run without such a cut costs n log n (a heap of candidates), never n^2.
 */
export class BytePairEncoder {
  readonly #vocabulary: BpeVocabulary;
  readonly #size: number;
  /** Pairs of single-character ids that stand side by side inside some piece. */
  readonly #inner = new Set<number>();
  #queue = new CandidateQueue();

  constructor(vocabulary: BpeVocabulary) {
    this.#vocabulary = vocabulary;
    this.#size = vocabulary.pieces.length;
    // Only pieces that merging can reach matter, so the merges tell which pairs are ever side by side.
    const edges = new CharacterEdges(vocabulary);
    for (const pair of vocabulary.merges.index.keys()) {
      const left = edges.last(Math.floor(pair / this.#size));
      const right = edges.first(pair % this.#size);
      if (left >= 0 && right >= 0) this.#inner.add(left * this.#size + right);
    }
  }

  /** Appends the ids of `text` (spaces already replaced) to `out`. */
  encode(text: string, out: number[]): void {
    if (text.length > maxSymbols) {
      throw new EmuError('INTERNAL', `[tokenizer] ${text.length} characters in one segment`);
    }
    let run: number[] = [];
    for (const character of text) {
      const id = this.#vocabulary.characterIds.get(character);
      const previous = run[run.length - 1];
      const isConnected =
        id !== undefined && previous !== undefined && this.#inner.has(previous * this.#size + id);
      if (!isConnected && run.length > 0) {
        this.#joinRun(run, out);
        run = [];
      }
      if (id !== undefined) run.push(id);
      else for (const byte of utf8.encode(character)) out.push(this.#vocabulary.byteIds[byte] as number);
    }
    this.#joinRun(run, out);
  }

  #mergeOf(left: number, right: number): number {
    return this.#vocabulary.merges.index.get(left * this.#size + right) ?? -1;
  }

  /** Joins the symbols of one run and appends what is left of them. */
  #joinRun(run: number[], out: number[]): void {
    const count = run.length;
    if (count < 2) {
      if (run[0] !== undefined) out.push(run[0]);
      return;
    }
    const { rank, merged } = this.#vocabulary.merges;
    const ids = Int32Array.from(run);
    const next = Int32Array.from(run, (_, i) => (i + 1 < count ? i + 1 : -1));
    const previous = Int32Array.from(run, (_, i) => i - 1);
    const queue = this.#queue;
    queue.clear();
    const offer = (left: number): void => {
      const right = next[left] as number;
      if (right < 0) return;
      const merge = this.#mergeOf(ids[left] as number, ids[right] as number);
      if (merge >= 0) queue.push((rank[merge] as number) * maxSymbols + left);
    };
    for (let i = 0; i + 1 < count; i++) offer(i);
    for (let candidate = queue.pop(); candidate !== undefined; candidate = queue.pop()) {
      const left = candidate % maxSymbols;
      const right = next[left] as number;
      if (ids[left] === -1 || right < 0) continue;
      const merge = this.#mergeOf(ids[left] as number, ids[right] as number);
      // Stale: a neighbour was joined since, and the pair here is another one.
      if (merge < 0 || rank[merge] !== Math.floor(candidate / maxSymbols)) continue;
      ids[left] = merged[merge] as number;
      ids[right] = -1;
      const after = next[right] as number;
      next[left] = after;
      if (after >= 0) previous[after] = left;
      const before = previous[left] as number;
      if (before >= 0) offer(before);
      offer(left);
    }
    for (let i = 0; i >= 0; i = next[i] as number) out.push(ids[i] as number);
  }
}

/** First and last characters of pieces, as ids; -1 if that character is no piece itself. */
class CharacterEdges {
  constructor(readonly vocabulary: BpeVocabulary) {}

  first(id: number): number {
    const code = this.vocabulary.pieces[id]?.codePointAt(0);
    return code === undefined ? -1 : this.#idOf(code);
  }

  last(id: number): number {
    const piece = this.vocabulary.pieces[id] ?? '';
    const lastUnit = piece.charCodeAt(piece.length - 1);
    const isPair = lastUnit >= 0xdc00 && lastUnit <= 0xdfff && piece.length > 1;
    const code = piece.codePointAt(piece.length - (isPair ? 2 : 1));
    return code === undefined ? -1 : this.#idOf(code);
  }

  #idOf(code: number): number {
    return this.vocabulary.characterIds.get(String.fromCodePoint(code)) ?? -1;
  }
}

/** A binary heap of numbers, smallest first. */
class CandidateQueue {
  #items = new Float64Array(256);
  #count = 0;

  clear(): void {
    this.#count = 0;
    if (this.#items.length > 2 ** 16) this.#items = new Float64Array(256); // give back what a long run took
  }

  push(value: number): void {
    if (this.#count === this.#items.length) {
      const grown = new Float64Array(this.#items.length * 2);
      grown.set(this.#items);
      this.#items = grown;
    }
    const items = this.#items;
    let hole = this.#count++;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if ((items[parent] as number) <= value) break;
      items[hole] = items[parent] as number;
      hole = parent;
    }
    items[hole] = value;
  }

  pop(): number | undefined {
    if (this.#count === 0) return undefined;
    const items = this.#items;
    const smallest = items[0] as number;
    const value = items[--this.#count] as number;
    let hole = 0;
    for (let child = 1; child < this.#count; child = 2 * hole + 1) {
      if (child + 1 < this.#count && (items[child + 1] as number) < (items[child] as number)) child += 1;
      if ((items[child] as number) >= value) break;
      items[hole] = items[child] as number;
      hole = child;
    }
    items[hole] = value;
    return smallest;
  }
}
