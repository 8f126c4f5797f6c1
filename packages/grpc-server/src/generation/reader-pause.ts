/** How one reader of a generation waits: for news, or for text to gather. */
export class ReaderPause {
  #go: () => void = () => undefined;
  #wantsNews = false;
  #timer: NodeJS.Timeout | undefined;

  /** Until something is told, or `end`. */
  news(): Promise<void> {
    this.#wantsNews = true;
    return new Promise((resolve) => (this.#go = resolve));
  }

  /** For a time, or until `end`; news do not shorten it. */
  pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#go = resolve;
      this.#timer = setTimeout(resolve, milliseconds);
    });
  }

  onNews(): void {
    if (!this.#wantsNews) return;
    this.#wantsNews = false;
    this.#go();
  }

  /** There is nothing left to wait for: the generation is over, or its reader is gone. */
  readonly end = (): void => {
    clearTimeout(this.#timer);
    this.#wantsNews = false;
    this.#go();
  };
}
