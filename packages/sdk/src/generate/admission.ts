import { EmuError } from '@emu/program';

/** What a call needs of the key/value cache while it runs. */
export interface CacheNeed {
  readonly slots: number;
  readonly pages: number;
}

/** Who asks, and how long they are willing to. */
export interface AdmissionOptions {
  /** Callers of one name wait in one line; the lines take turns. */
  readonly client?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Waiting {
  readonly need: CacheNeed;
  readonly enter: () => void;
}

/**
 * Lets calls into the key/value cache, each when its whole need fits, so that no two of them can end up waiting for
 * each other's pages. Calls of one client enter in the order in which they came; clients take turns, so that a client
 * with a thousand calls delays another's single one by one call. The call whose turn it is keeps its turn until it
 * fits: a large one is not overtaken for ever.
 */
export class Admission {
  readonly #capacity: CacheNeed;
  readonly #mostWaiting: number;
  #free: CacheNeed;
  /** Lines of waiting calls by client; the first client's turn is next. */
  readonly #lines = new Map<string, Waiting[]>();
  #waiting = 0;

  constructor(capacity: CacheNeed, mostWaiting = Infinity) {
    this.#capacity = capacity;
    this.#mostWaiting = mostWaiting;
    this.#free = capacity;
  }

  /** Calls that wait. */
  get queueLength(): number {
    return this.#waiting;
  }

  /** Slots and pages that calls which have entered hold. */
  get held(): CacheNeed {
    return {
      slots: this.#capacity.slots - this.#free.slots,
      pages: this.#capacity.pages - this.#free.pages,
    };
  }

  /**
   * Resolves when the need fits; the result gives it back, once.
   * @throws EmuError OUT_OF_MEMORY when it can never fit, QUEUE_FULL when too many wait; or `signal.reason`.
   */
  async enter(need: CacheNeed, { client = '', signal }: AdmissionOptions = {}): Promise<() => void> {
    this.#refuseImpossible(need);
    signal?.throwIfAborted();
    if (this.#waiting > 0 || !this.#fits(need)) await this.#wait(need, client, signal);
    else this.#take(need);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free = { slots: this.#free.slots + need.slots, pages: this.#free.pages + need.pages };
      this.#letIn();
    };
  }

  #wait(need: CacheNeed, client: string, signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting >= this.#mostWaiting) throw queueFull(this.#waiting);
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        need,
        enter: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#leaveLine(client, waiting);
        reject(signal?.reason as Error);
        this.#letIn();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#lines.set(client, [...(this.#lines.get(client) ?? []), waiting]);
      this.#waiting += 1;
    });
  }

  #leaveLine(client: string, waiting: Waiting): void {
    const line = this.#lines.get(client) ?? [];
    const left = line.filter((other) => other !== waiting);
    if (left.length === line.length) return;
    this.#waiting -= 1;
    if (left.length === 0) this.#lines.delete(client);
    else this.#lines.set(client, left);
  }

  #letIn(): void {
    for (;;) {
      const [turn] = this.#lines;
      const next = turn?.[1][0];
      if (turn === undefined || next === undefined || !this.#fits(next.need)) return;
      const [client, line] = turn;
      this.#lines.delete(client);
      if (line.length > 1) this.#lines.set(client, line.slice(1)); // to the end of the turns
      this.#waiting -= 1;
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

function queueFull(waiting: number): EmuError {
  return new EmuError('QUEUE_FULL', `[kv cache] ${waiting} calls wait already, which is the limit`, {
    hint: 'Try again later, or open the model with a larger queueLimit.',
    details: { waiting },
  });
}
