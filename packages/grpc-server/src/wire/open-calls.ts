import type { EmuError } from '@emu/program';

/** A call that was let in and has no status yet. */
export interface OpenCall {
  stop(failure: EmuError): void;
}

/** The calls that a server lets finish before it stops. */
export class OpenCalls {
  readonly #calls = new Set<OpenCall>();
  #waiters: (() => void)[] = [];

  get count(): number {
    return this.#calls.size;
  }

  enter(call: OpenCall): void {
    this.#calls.add(call);
  }

  leave(call: OpenCall): void {
    if (!this.#calls.delete(call) || this.#calls.size > 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves when no call is open. */
  async idle(): Promise<void> {
    while (this.#calls.size > 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Ends every open call with a failure. */
  stopAll(failure: EmuError): void {
    for (const call of [...this.#calls]) call.stop(failure);
  }
}
