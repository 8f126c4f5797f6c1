/** A sequence that a beam ended with, <s> first, </s> left out. */
export interface Hypothesis {
  readonly ids: readonly number[];
  /** Sum of log-probabilities / length ** lengthPenalty; the length counts <s> and not </s>. */
  readonly score: number;
}

/**
 * The best finished sequences of one prompt.
 * Source: transformers v4.29.2 generation/beam_search.py, BeamHypotheses.
 */
export class BeamHypotheses {
  readonly #capacity: number;
  readonly #lengthPenalty: number;
  readonly #stopsEarly: boolean;
  #kept: Hypothesis[] = [];
  #worst = 1e9;

  /** capacity: the number of beams. stopsEarly: finished as soon as that many sequences are. */
  constructor(capacity: number, lengthPenalty: number, stopsEarly = false) {
    this.#capacity = capacity;
    this.#lengthPenalty = lengthPenalty;
    this.#stopsEarly = stopsEarly;
  }

  add(ids: readonly number[], sumOfLogProbabilities: number): void {
    const score = this.#scoreOf(sumOfLogProbabilities, ids.length);
    if (this.#kept.length >= this.#capacity && !(score > this.#worst)) return;
    this.#kept.push({ ids: [...ids], score });
    if (this.#kept.length > this.#capacity) this.#dropWorst();
    else this.#worst = Math.min(this.#worst, score);
  }

  /**
   * True when no live beam can get among the kept ones, as the reference judges it: `best` is the largest sum of
   * log-probabilities among the candidates and `length` that of the candidate, <s> included.
   */
  isDone(best: number, length: number): boolean {
    if (this.#kept.length < this.#capacity) return false;
    return this.#stopsEarly || this.#worst >= this.#scoreOf(best, length);
  }

  /** The `count` best, best first; of equals the later one first, as there. */
  best(count: number): readonly Hypothesis[] {
    return [...this.#kept]
      .sort((a, b) => a.score - b.score)
      .reverse()
      .slice(0, count);
  }

  #scoreOf(sum: number, length: number): number {
    return sum / length ** this.#lengthPenalty;
  }

  #dropWorst(): void {
    let worst = 0;
    for (const [index, { score }] of this.#kept.entries()) {
      if (score < (this.#kept[worst]?.score ?? Infinity)) worst = index;
    }
    this.#kept.splice(worst, 1);
    this.#worst = Math.min(...this.#kept.map(({ score }) => score));
  }
}
