interface Sum {
  readonly sum: number;
  readonly count: number;
}

/** Means over the steps since the last line of the log. It travels with checkpoints, so that no step is lost. */
export class MetricWindow {
  readonly #sums: Map<string, Sum>;

  constructor(sums: Readonly<Record<string, Sum>> = {}) {
    this.#sums = new Map(Object.entries(sums));
  }

  add(values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) {
      const { sum, count } = this.#sums.get(name) ?? { sum: 0, count: 0 };
      this.#sums.set(name, { sum: sum + value, count: count + 1 });
    }
  }

  /** The mean of each value over the additions that had it. */
  means(): Record<string, number> {
    return Object.fromEntries([...this.#sums].map(([name, { sum, count }]) => [name, sum / count]));
  }

  clear(): void {
    this.#sums.clear();
  }

  toJSON(): Record<string, { sum: number; count: number }> {
    return Object.fromEntries(this.#sums);
  }
}
