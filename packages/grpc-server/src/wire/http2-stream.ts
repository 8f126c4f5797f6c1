/*
 * The HTTP/2 stream and connection under a call, which grpc-js keeps to itself.
 */

/**
 * Ends the HTTP/2 stream under a call. grpc-js has no way to: a status waits behind everything written before it, and
 * behind a reader that does not read that is for ever.
 */
export function resetStream(call: object): void {
  onStream(call, 'close', cancelledByServer);
}

/** The connection of a call, which its stream forgets when it is closed. */
export function connectionOf(call: object): object | undefined {
  const stream = streamOf(call);
  const session: unknown = stream && Reflect.get(stream, 'session');
  return typeof session === 'object' && session !== null ? session : undefined;
}

/** Ends a connection and all that came on it; false where it has ended. */
export function endConnection(session: object): boolean {
  const destroy: unknown = Reflect.get(session, 'destroy');
  if (Reflect.get(session, 'destroyed') === true || typeof destroy !== 'function') return false;
  destroy.call(session);
  return true;
}

/** Takes no more bytes of a call; the transport then holds back its caller. */
export function pauseStream(call: object): void {
  onStream(call, 'pause');
}

/** Tells the code that the stream under a call was closed with; 0 where nobody reset it (RFC 9113, section 7). */
export function onClose(call: object, listener: (code: number) => void): void {
  onStream(call, 'once', 'close', () => {
    const stream = streamOf(call);
    const code: unknown = stream && Reflect.get(stream, 'rstCode');
    listener(typeof code === 'number' ? code : 0);
  });
}

/** Tells how many bytes each piece of a call's messages has. grpc-js counts none before a message is whole. */
export function onData(call: object, listener: (bytes: number) => void): void {
  onStream(call, 'on', 'data', (piece: Uint8Array) => {
    listener(piece.length);
  });
}

/** Calls a method of the HTTP/2 stream under a call. */
function onStream(
  call: object,
  method: 'close' | 'pause' | 'on' | 'once',
  ...args: readonly unknown[]
): void {
  const stream = streamOf(call);
  const bound: unknown = stream && Reflect.get(stream, method);
  if (typeof bound === 'function') bound.apply(stream, args);
}

function streamOf(call: object): object | undefined {
  const stream: unknown = Reflect.get(call, 'stream');
  return typeof stream === 'object' && stream !== null ? stream : undefined;
}

/** RST_STREAM with CANCEL (RFC 9113, section 7). */
const cancelledByServer = 8;
