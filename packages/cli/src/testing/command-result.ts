import { Readable, Writable } from 'node:stream';

import { runCommandLine } from '../command-line.js';

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line in this process and collects what it wrote. */
export async function commandResult(
  args: readonly string[],
  options: {
    readonly environment?: Record<string, string>;
    readonly stdin?: string;
    readonly signal?: AbortSignal;
  } = {},
): Promise<CommandResult> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const status = await runCommandLine(args, {
    stdout: collector(stdout),
    stderr: collector(stderr),
    stdin: Readable.from([options.stdin ?? '']),
    isInteractive: false,
    environment: options.environment ?? {},
    signal: options.signal ?? new AbortController().signal,
  });
  return { status, stdout: stdout.join(''), stderr: stderr.join('') };
}

function collector(chunks: string[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
}
