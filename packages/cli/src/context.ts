import { nearestName } from '@emu/sdk';
import { InvalidArgumentError, type Command } from 'commander';

import { ProgressDisplay, progressModes, type ProgressMode } from './progress.js';
import { writeJson, type Terminal } from './terminal.js';

/** Flags that every command has. */
export interface CommonFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly progress?: ProgressMode;
}

/** What a command works with: its terminal, the common flags, and how it shows progress. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly progress: ProgressDisplay;
  /** A line for people, on stderr; silent with --quiet. */
  readonly note: (text: string) => void;
  /** A line of data on stdout; with --json the object, else the text. */
  readonly result: (value: unknown, text: string) => void;
}

/** Adds the common flags to a command. */
export function withCommonFlags(command: Command): Command {
  return command
    .option('--json', 'print one JSON object per result on stdout')
    .option('-q, --quiet', 'no notes and no progress on stderr')
    .option(
      '--progress <mode>',
      `how to show progress: ${progressModes.join(', ')}`,
      oneOf(progressModes),
      'auto',
    );
}

export function commandContext(terminal: Terminal, flags: CommonFlags): CommandContext {
  const json = flags.json === true;
  const quiet = flags.quiet === true;
  const progress = new ProgressDisplay(terminal, quiet ? 'none' : (flags.progress ?? 'auto'));
  return {
    terminal,
    json,
    progress,
    note(text) {
      if (quiet) return;
      progress.clear();
      terminal.stderr.write(`${text}\n`);
    },
    result(value, text) {
      progress.clear();
      if (json) writeJson(terminal.stdout, value);
      else terminal.stdout.write(`${text}\n`);
    },
  };
}

/** A parser of flag values that must be one of a list. */
export function oneOf<T extends string>(values: readonly T[]): (value: string) => T {
  return (value) => {
    const found = values.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    const nearest = nearestName(value, values);
    const guess = nearest === undefined ? '' : `Did you mean ${nearest}? `;
    throw new InvalidArgumentError(`${guess}It must be one of ${values.join(', ')}.`);
  };
}

/** A parser of numbers; what the number may be is the SDK's to say, so that one place does. */
export function number(value: string): number {
  const parsed = Number(value);
  if (value.trim() === '' || Number.isNaN(parsed)) throw new InvalidArgumentError('It must be a number.');
  return parsed;
}

/** A parser of seeds: whole numbers of up to 64 bits. Which are accepted is the SDK's to say. */
export function seedNumber(value: string): number | bigint {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError('It must be a whole number, 0 or above.');
  const parsed = Number(value);
  return Number.isSafeInteger(parsed) ? parsed : BigInt(value);
}

/** A seed as JSON has it: a number, or a text where a number would lose digits. */
export function seedJson(seed: number | bigint): number | string {
  return typeof seed === 'bigint' && seed > BigInt(Number.MAX_SAFE_INTEGER) ? seed.toString() : Number(seed);
}

/** A parser of lists: `a,b,c`. */
export function commaList(value: string): readonly string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
