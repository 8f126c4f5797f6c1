import * as hdr from 'hdr-histogram-js';

const mostMicroseconds = 3_600_000_000;

/** Times of one kind in a high dynamic range histogram: three digits from a microsecond to an hour. */
export class Latencies {
  readonly #histogram = hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: mostMicroseconds,
    numberOfSignificantValueDigits: 3,
  });

  /** Times recorded. */
  get count(): number {
    return this.#histogram.totalCount;
  }

  /** milliseconds: longer ones than an hour count as an hour. */
  record(milliseconds: number): void {
    const microseconds = Math.round(milliseconds * 1000);
    this.#histogram.recordValue(Math.min(Math.max(microseconds, 1), mostMicroseconds));
  }

  /** Milliseconds that `percent` of the times do not exceed; null when there are none. */
  percentile(percent: number): number | null {
    return this.count === 0 ? null : this.#histogram.getValueAtPercentile(percent) / 1000;
  }
}
