import { readFile } from 'node:fs/promises';

import { devices, Emu, EmuError, image, video, type Device, type PromptItem } from '@emu/sdk';
import type { Command } from 'commander';

import type { CommandContext, CommonFlags } from '../context.js';
import { number, oneOf } from '../context.js';
import { environmentValue } from '../environment.js';
import type { Terminal } from '../terminal.js';

const dtypes = ['auto', 'f32', 'bf16'] as const;

/** Flags of commands that load a model. */
export interface ModelFlags extends CommonFlags {
  readonly model?: string;
  readonly device?: Device;
  readonly dtype?: 'auto' | 'f32' | 'bf16';
  readonly threads?: number;
  readonly variant?: 'pretrain' | 'instruct';
}

export function withModelFlags(command: Command): Command {
  return withRunFlags(command.option('--model <dir>', 'model folder (default: EMU_MODEL)'));
}

/** How a model is run, for commands that take its folder as an argument. */
export function withRunFlags(command: Command): Command {
  return command
    .option('--device <name>', 'cpu or reference (default: EMU_DEVICE, else cpu)', oneOf(devices))
    .option(
      '--dtype <name>',
      'dtype of the matrices in memory (default: EMU_DTYPE, else auto)',
      oneOf(dtypes),
    )
    .option(
      '--threads <number>',
      'threads that run kernels (default: EMU_THREADS, else the cores there are)',
      number,
    )
    .option(
      '--variant <name>',
      'which model to take from a folder that has both',
      oneOf(['pretrain', 'instruct']),
    );
}

/** Opens the model that flags and environment name: flag, then EMU_ variable, then default. */
async function openModel(context: CommandContext, flags: ModelFlags): Promise<Emu> {
  const { terminal } = context;
  const path = flags.model ?? environmentValue(terminal, 'EMU_MODEL');
  if (path === undefined) {
    throw new EmuError('INVALID_OPTION', '[emu] no model was named', {
      hint: 'Pass --model DIR or set EMU_MODEL.',
    });
  }
  const threads = flags.threads ?? numberFrom(terminal, 'EMU_THREADS');
  const device = flags.device ?? oneFrom(terminal, 'EMU_DEVICE', devices);
  const dtype = flags.dtype ?? oneFrom(terminal, 'EMU_DTYPE', dtypes);
  const emu = await Emu.fromPretrained(path, {
    ...(device !== undefined && { device }),
    ...(dtype !== undefined && { dtype }),
    ...(threads !== undefined && { threads }),
    ...(flags.variant && { variant: flags.variant }),
    onProgress: (progress) => {
      context.progress.show(progress);
    },
    signal: terminal.signal,
  });
  context.progress.clear();
  return emu;
}

function oneFrom<T extends string>(terminal: Terminal, name: string, values: readonly T[]): T | undefined {
  const value = environmentValue(terminal, name);
  const found = values.find((candidate) => candidate === value);
  if (value === undefined || found !== undefined) return found;
  throw new EmuError(
    'INVALID_OPTION',
    `[emu] ${name} must be one of ${values.join(', ')}, got ${JSON.stringify(value)}`,
    { details: { name, value } },
  );
}

function numberFrom(terminal: Terminal, name: string): number | undefined {
  const value = environmentValue(terminal, name);
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (!Number.isNaN(parsed)) return parsed;
  throw new EmuError('INVALID_OPTION', `[emu] ${name} ${JSON.stringify(value)} is not a number`, {
    details: { name, value },
  });
}

/** Runs work with a model and closes it in any case. */
export async function withModel<T>(
  context: CommandContext,
  flags: ModelFlags,
  work: (emu: Emu) => Promise<T>,
): Promise<T> {
  const emu = await openModel(context, flags);
  try {
    return await work(emu);
  } finally {
    await emu.dispose();
  }
}

const mediaPrefixes = { '@image:': image, '@video:': video } as const;

/**
 * Prompt items of command-line arguments: text as it is; `@image:PATH` and `@video:PATH` are media, `@file:PATH` is the
 * text of a file.
 */
export function promptItems(args: readonly string[]): Promise<readonly PromptItem[]> {
  return Promise.all(args.map(promptItem));
}

async function promptItem(argument: string): Promise<PromptItem> {
  for (const [prefix, media] of Object.entries(mediaPrefixes)) {
    if (argument.startsWith(prefix)) return media(argument.slice(prefix.length));
  }
  if (!argument.startsWith('@file:')) return argument;
  const path = argument.slice('@file:'.length);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new EmuError('MEDIA_NOT_FOUND', `[emu] ${path} cannot be read`, {
      cause: error,
      details: { path },
    });
  }
}

export const promptHelp =
  'Arguments are text, or media in their place: @image:PATH, @video:PATH; @file:PATH is the text of a file.';
