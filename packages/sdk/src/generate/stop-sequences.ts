/**
 * Cuts a stream of text at the first of several stop sequences. Text that may be the beginning of one is held back
 * until it is certain.
 */
export class StopSequences {
  readonly #stops: readonly string[];
  #held = '';
  #isStopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** True when a stop sequence has come; nothing is let through any more. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** The part of what came so far that is certain now. */
  push(text: string): string {
    if (this.#isStopped) return '';
    const all = this.#held + text;
    const found = this.#stops.map((stop) => all.indexOf(stop)).filter((index) => index >= 0);
    if (found.length > 0) {
      this.#isStopped = true;
      this.#held = '';
      return all.slice(0, Math.min(...found));
    }
    const certain = all.length - this.#beginningAtEnd(all);
    this.#held = all.slice(certain);
    return all.slice(0, certain);
  }

  /** What was held back, when no more text comes. */
  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest end of `text` that begins a stop sequence. */
  #beginningAtEnd(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const tail = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(tail))) return length;
    }
    return 0;
  }
}
