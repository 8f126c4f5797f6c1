/** A signal that fires when all have fired; one that is absent never fires. `release` when it is no longer needed. */
export function allAborted(signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  release(): void;
} {
  const controller = new AbortController();
  const check = (): void => {
    if (signals.every((signal) => signal?.aborted === true)) controller.abort(signals[0]?.reason);
  };
  for (const signal of signals) signal?.addEventListener('abort', check);
  check();
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of signals) signal?.removeEventListener('abort', check);
    },
  };
}
