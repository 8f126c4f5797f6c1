import { EmuError } from '@emu/program';

/** What a call needs of the key/value cache while it runs. */
export interface CacheNeed {
  readonly slots: number;
  readonly pages: number;
}

interface Waiting {
  readonly need: CacheNeed;
  readonly enter: () => void;
}

/**
 * Lets calls into the key/value cache in the order in which they came, each when its whole need fits, so that no two of
 * them can end up waiting for each other's pages.
 */
export class Admission {
  readonly #capacity: CacheNeed;
  #free: CacheNeed;
  readonly #waiting: Waiting[] = [];

  constructor(capacity: CacheNeed) {
    this.#capacity = capacity;
    this.#free = capacity;
  }

  /** Calls that wait. */
  get queueLength(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves when the need fits; the result gives it back, once.
   * @throws EmuError OUT_OF_MEMORY when it can never fit; or `signal.reason`.
   */
  async enter(need: CacheNeed, signal?: AbortSignal): Promise<() => void> {
    this.#refuseImpossible(need);
    signal?.throwIfAborted();
    if (this.#waiting.length > 0 || !this.#fits(need)) await this.#wait(need, signal);
    else this.#take(need);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free = { slots: this.#free.slots + need.slots, pages: this.#free.pages + need.pages };
      this.#letIn();
    };
  }

  #wait(need: CacheNeed, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        need,
        enter: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        const index = this.#waiting.indexOf(waiting);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(signal?.reason as Error);
        this.#letIn();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #letIn(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || !this.#fits(next.need)) return;
      this.#waiting.shift();
      this.#take(next.need);
      next.enter();
    }
  }

  #fits({ slots, pages }: CacheNeed): boolean {
    return slots <= this.#free.slots && pages <= this.#free.pages;
  }

  #take({ slots, pages }: CacheNeed): void {
    this.#free = { slots: this.#free.slots - slots, pages: this.#free.pages - pages };
  }

  #refuseImpossible({ slots, pages }: CacheNeed): void {
    if (slots <= this.#capacity.slots && pages <= this.#capacity.pages) return;
    throw new EmuError(
      'OUT_OF_MEMORY',
      `[kv cache] the call needs ${slots} sequences and ${pages} pages, the cache has ${this.#capacity.slots} and ${this.#capacity.pages}`,
      {
        hint: 'Ask for fewer beams or tokens, or open the model with more cacheSlots and cacheTokens.',
        details: { slots, pages, capacity: this.#capacity },
      },
    );
  }
}
