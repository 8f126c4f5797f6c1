import { EmuError } from '@emu/sdk';

import { SignalStop, writeJson, type Terminal } from './terminal.js';

/** Tells what went wrong on stderr and returns the exit status of conventions: one table for all commands. */
export function reportFailure(error: unknown, terminal: Terminal, json: boolean): number {
  const stop = [error, terminal.signal.reason].find((reason) => reason instanceof SignalStop);
  if (stop !== undefined) {
    terminal.stderr.write(`emu: ${stop.message}\n`);
    return stop.exitStatus;
  }
  const known = EmuError.from(error);
  if (json) {
    writeJson(terminal.stderr, { type: 'error', ...known.toJSON() });
    return known.exitStatus;
  }
  terminal.stderr.write(`emu: ${known.code}: ${known.message}\n`);
  if (known.hint !== undefined) terminal.stderr.write(`     ${known.hint}\n`);
  // A failure that is nobody's input is ours; its stack is what a report needs.
  if (known.code === 'INTERNAL' && known.cause instanceof Error) {
    terminal.stderr.write(`${known.cause.stack ?? ''}\n`);
  }
  return known.exitStatus;
}
