/** Calls that an address may break off before they have begun: at once, and for every second. */
const burst = 500;
const perSecond = 50;
/** Addresses that are remembered; the oldest is forgotten first. */
const mostAddresses = 10_000;

interface Allowance {
  left: number;
  /** performance.now() when it was counted. */
  at: number;
}

/**
 * Calls that a peer resets as soon as it has sent their headers cost it nothing and the server a fifth of a millisecond
 * ("rapid reset", CVE-2023-44487). HTTP/2 ends a connection that does so for long; this counts over all connections of an
 * address.
 */
export class ResetLimit {
  readonly #allowances = new Map<string, Allowance>();

  /** Counts a call that was broken off; false where it is one too many. */
  allows(address: string, now = performance.now()): boolean {
    const before = this.#allowances.get(address) ?? { left: burst, at: now };
    const left = Math.min(before.left + ((now - before.at) / 1000) * perSecond, burst);
    const allowed = left >= 1;
    this.#allowances.delete(address);
    this.#allowances.set(address, { left: allowed ? left - 1 : left, at: now });
    if (this.#allowances.size > mostAddresses) {
      const [oldest] = this.#allowances.keys();
      if (oldest !== undefined) this.#allowances.delete(oldest);
    }
    return allowed;
  }
}
