import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

import { build } from 'tsup';

const sources = import.meta.dirname;
// From one below packages/native the bundle finds the addon, as the package's own build does.
const outDir = join(sources, '../../../native/build');

/**
 * Bundles `src/testing/<name>.ts`, sources of our packages included, for a process of its own.
 * Returns the path of the script.
 */
export async function bundleForProcess(name: string): Promise<string> {
  await build({
    config: false,
    silent: true,
    entry: { [name]: join(sources, `${name}.ts`) },
    format: ['esm'],
    outDir,
    platform: 'node',
    clean: false,
    dts: false,
    splitting: false,
    noExternal: [/^@emu\//],
    skipNodeModulesBundle: true,
    outExtension: () => ({ js: '.mjs' }),
    esbuildOptions(options) {
      options.conditions = ['emu-source'];
    },
  });
  return join(outDir, `${name}.mjs`);
}

export interface ProcessOutcome {
  /** Exit status, or null after a signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProcessOptions {
  /** Shell commands that come first, such as a limit. */
  readonly before?: string;
  /** Called with each piece of stdout. */
  readonly onStdout?: (text: string, child: ChildProcess) => void;
}

/** Runs a script of `bundleForProcess` to its end. */
export function runProcess(
  script: string,
  argument: object,
  options: ProcessOptions = {},
): Promise<ProcessOutcome> {
  const command = [process.execPath, script, JSON.stringify(argument)];
  const child =
    options.before === undefined
      ? spawn(command[0] ?? '', command.slice(1))
      : spawn('bash', ['-c', `${options.before}; exec "$@"`, 'bash', ...command]);
  const stdout: string[] = [];
  const stderr: string[] = [];
  child.stdout.on('data', (text: Buffer) => {
    stdout.push(text.toString());
    options.onStdout?.(text.toString(), child);
  });
  child.stderr.on('data', (text: Buffer) => stderr.push(text.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({ status, stdout: stdout.join(''), stderr: stderr.join('') });
    });
  });
}
