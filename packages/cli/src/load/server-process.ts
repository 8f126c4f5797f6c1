import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

import { EmuError } from '@emu/sdk';

/** What of a failed server's log is told. */
const mostLog = 2000;

/** `emu serve` in a process of its own, so that the load does not take its thread. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;

  private constructor(
    child: ChildProcess,
    exit: Promise<void>,
    readonly address: string,
  ) {
    this.#child = child;
    this.#exit = exit;
  }

  /**
   * command: what starts `emu`. Resolves when calls are taken.
   * @throws EmuError INTERNAL with the end of its log when the server ends instead; or `signal.reason`.
   */
  static async start(
    command: readonly string[],
    flags: readonly string[],
    signal: AbortSignal,
  ): Promise<ServerProcess> {
    const [file = '', ...args] = command;
    const serve = ['serve', '--port', '0', '--json', '--log-level', 'warn', '--progress', 'none', ...flags];
    const child = spawn(file, [...args, ...serve], { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-mostLog)));
    const exit = new Promise<void>((resolve) => {
      child.once('error', (error) => {
        log += error.message;
        resolve();
      });
      child.once('close', () => {
        resolve();
      });
    });
    const stop = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    try {
      const line = await firstLine(child, exit);
      signal.throwIfAborted();
      if (line === undefined) throw notStarted(log);
      return new ServerProcess(child, exit, (JSON.parse(line) as { readonly address: string }).address);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Drains the server. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#exit;
  }
}

async function firstLine(child: ChildProcess, exit: Promise<void>): Promise<string | undefined> {
  if (child.stdout === null) return undefined;
  const lines = createInterface(child.stdout);
  const line = new Promise<string>((resolve) => {
    lines.once('line', resolve);
  });
  return Promise.race([line, exit.then(() => undefined)]);
}

function notStarted(log: string): EmuError {
  return new EmuError('INTERNAL', `[bench serve] the server ended before it took calls: ${log.trim()}`, {
    hint: 'Start it yourself with `emu serve`, and name it with --server.',
    details: { log },
  });
}
