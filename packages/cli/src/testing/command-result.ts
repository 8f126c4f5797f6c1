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
    /** Called with everything that is written to stdout, as it comes. */
    readonly onStdout?: (text: string) => void;
  } = {},
): Promise<CommandResult> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const status = await runCommandLine(args, {
    stdout: collector(stdout, options.onStdout),
    stderr: collector(stderr),
    stdin: Readable.from([options.stdin ?? '']),
    isInteractive: false,
    environment: options.environment ?? {},
    signal: options.signal ?? new AbortController().signal,
  });
  return { status, stdout: stdout.join(''), stderr: stderr.join('') };
}

function collector(chunks: string[], onText?: (text: string) => void): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      onText?.(chunk.toString());
      done();
    },
  });
}

/** The objects of JSON lines; fails on a line that is no JSON object. */
export function jsonLines(text: string): readonly Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const value: unknown = JSON.parse(line);
      if (typeof value !== 'object' || value === null) throw new Error(`not an object: ${line}`);
      return value as Record<string, unknown>;
    });
}
