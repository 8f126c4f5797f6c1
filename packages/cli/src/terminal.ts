import type { Writable } from 'node:stream';

/** Where a command writes: data on stdout, everything else on stderr. Tests give their own. */
export interface Terminal {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly stdin: NodeJS.ReadableStream;
  /** True where a person watches stderr. */
  readonly isInteractive: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

/** Exit statuses of a shell for signals: 128 and the signal's number. */
export const signalExit = { SIGINT: 130, SIGTERM: 143 } as const;

/** The terminal of this process. The first signal asks for a stop at a safe point; the second ends at once. */
export function processTerminal(): Terminal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(signalExit[name]);
      controller.abort(new SignalStop(name));
    });
  }
  // A reader that has seen enough, as in `emu ... | head`, is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  // Nor is one of stderr; what it would have read is for people.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    isInteractive: process.stderr.isTTY && process.env['TERM'] !== 'dumb' && process.env['CI'] === undefined,
    environment: process.env,
    signal: controller.signal,
  };
}

/** The abort reason after a signal. */
export class SignalStop extends Error {
  readonly exitStatus: number;

  constructor(name: keyof typeof signalExit) {
    super(`stopped by ${name}`);
    this.exitStatus = signalExit[name];
  }
}

/** One JSON object per line; numbers that JSON lacks become null. */
export function writeJson(stream: Writable, value: unknown): void {
  stream.write(`${JSON.stringify(value)}\n`);
}
