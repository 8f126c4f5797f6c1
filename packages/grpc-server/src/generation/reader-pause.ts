/**
 * How much longer than due text may gather when nothing follows it. What is sent with the token that comes next leaves
 * together with that of other streams, between two runs of the model and not in the middle of one.
 */
const graceMs = 10;

/** How one reader of a generation waits: for news, or for text to gather. */
export class ReaderPause {
  #go: () => void = () => undefined;
  /** performance.now() from which on news end the pause. */
  #newsFrom = Infinity;
  #timer: NodeJS.Timeout | undefined;

  /** Until something is told, or `end`. */
  news(): Promise<void> {
    this.#newsFrom = -Infinity;
    return new Promise((resolve) => (this.#go = resolve));
  }

  /** Until something is told after `due`, a little longer than that, or `end`. */
  gather(due: number): Promise<void> {
    this.#newsFrom = due;
    return new Promise((resolve) => {
      this.#go = resolve;
      this.#timer = setTimeout(resolve, due - performance.now() + graceMs);
    });
  }

  onNews(): void {
    if (performance.now() >= this.#newsFrom) this.end();
  }

  /** There is nothing left to wait for: the generation is over, or its reader is gone. */
  readonly end = (): void => {
    clearTimeout(this.#timer);
    this.#newsFrom = Infinity;
    this.#go();
  };
}
