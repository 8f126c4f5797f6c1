/**
 * A signal that fires when all have fired; one that is absent never fires. `release` when it is no longer needed.
 * Listens to one at a time, the first that has not fired: a step of many streams would add and take away one for each.
 */
export function allAborted(signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  release(): void;
} {
  const controller = new AbortController();
  let watched: AbortSignal | undefined;
  const watchNext = (): void => {
    watched = signals.find((signal) => signal?.aborted === false);
    if (watched === undefined) controller.abort(signals[0]?.reason);
    else watched.addEventListener('abort', watchNext, { once: true });
  };
  if (!signals.includes(undefined)) watchNext();
  return {
    signal: controller.signal,
    release: () => {
      watched?.removeEventListener('abort', watchNext);
    },
  };
}
