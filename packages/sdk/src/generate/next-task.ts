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
