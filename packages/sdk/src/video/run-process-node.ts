import { spawn } from 'node:child_process';

import { EmuError } from '@emu/program';

export interface ProcessOptions {
  readonly timeoutMs: number;
  /** The child is killed when it writes more. */
  readonly maxOutputBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ProcessResult {
  /** null when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  /** The last lines of it. */
  readonly stderr: string;
}

const keptErrorBytes = 4096;

const installHint =
  'Install ffmpeg, which brings ffprobe: apt-get install ffmpeg, brew install ffmpeg, or winget install ffmpeg.';

/**
 * Runs a program without a shell and without standard input, with bounded time and output. It is killed when a
 * bound is passed or the signal aborts, and has ended when the promise settles.
 * @throws EmuError CAPABILITY_MISSING if there is no such program, DEADLINE_EXCEEDED, INVALID_VIDEO for too much
 * output; `signal.reason`.
 */
export function runProcess(
  program: string,
  args: readonly string[],
  { timeoutMs, maxOutputBytes, signal }: ProcessOptions,
): Promise<ProcessResult> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
    const chunks: Buffer[] = [];
    let length = 0;
    let stderr = Buffer.alloc(0);
    let failure: unknown;

    const stop = (error: unknown): void => {
      failure ??= error;
      child.kill('SIGKILL');
    };
    const onAbort = (): void => {
      stop(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer = setTimeout(() => {
      stop(
        new EmuError('DEADLINE_EXCEEDED', `[video] ${program} took longer than ${timeoutMs} ms`, {
          hint: 'Use a shorter video or raise timeoutMs.',
          details: { program, timeoutMs },
        }),
      );
    }, timeoutMs);

    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxOutputBytes) {
        chunks.push(chunk);
        return;
      }
      stop(
        new EmuError('INVALID_VIDEO', `[video] ${program} wrote more than ${maxOutputBytes} bytes`, {
          details: { program, maxOutputBytes },
        }),
      );
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-keptErrorBytes);
    });
    child.on('error', (cause) => {
      failure ??= new EmuError(
        'CAPABILITY_MISSING',
        `[video] ${program} could not be started: ${cause.message}`,
        {
          hint: installHint,
          cause,
          details: { program },
        },
      );
      if (child.pid === undefined) finish(null); // it never ran, so it never closes
    });
    child.on('close', finish);

    let isFinished = false;
    function finish(exitCode: number | null): void {
      if (isFinished) return;
      isFinished = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- an abort's reason is the caller's
      if (failure !== undefined) reject(failure);
      else resolve({ exitCode, stdout: Buffer.concat(chunks), stderr: stderr.toString('utf8').trim() });
    }
  });
}
