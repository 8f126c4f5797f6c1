/**
 * Resolves when everything that has been resolved so far has gone on as far as it can: callers that were answered
 * together have asked for their next step by then. Input, timers and aborts do not get a turn in between where the
 * platform allows it; work that begins now leaves them their turn while it runs.
 */
export function afterMicrotasks(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof process === 'object' && typeof process.nextTick === 'function') process.nextTick(resolve);
    else void nextTask().then(resolve);
  });
}

const waiting: (() => void)[] = [];

/** Runs work in a later task, all that is given until then in one. It must not throw. */
export function inNextTask(work: () => void): void {
  if (waiting.push(work) > 1) return;
  void nextTask().then(() => {
    for (const each of waiting.splice(0)) each();
  });
}

/**
 * Resolves in a later task of the event loop, so that timers, input and aborts get their turn in between.
 * setImmediate where there is one; a message channel in browsers, where timers wait four milliseconds.
 */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    const onMessage = (): void => {
      port1.close();
      resolve();
    };
    port1.addEventListener('message', onMessage);
    port1.start();
    port2.postMessage(null);
  });
}
