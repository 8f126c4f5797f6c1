import { access, constants, stat, writeFile } from 'node:fs/promises';
import { dirname, extname } from 'node:path';

import {
  encodeJpeg,
  encodePng,
  EmuError,
  image,
  type GeneratedImage,
  type GenerationStream,
  type PictureOptions,
} from '@emu/sdk';
import { schedulerNames, type SchedulerName } from '@emu/sdk/diffusion';
import { Option, type Command } from 'commander';

import {
  commandContext,
  number,
  oneOf,
  seedJson,
  seedNumber,
  withCommonFlags,
  type CommandContext,
} from '../context.js';
import type { Terminal } from '../terminal.js';
import { promptHelp, promptItems, withModel, withModelFlags, type ModelFlags } from './model-flags.js';
import { definedOnly } from './text-flags.js';

interface PictureFlags extends ModelFlags {
  readonly output: string;
  readonly width?: number;
  readonly height?: number;
  readonly steps?: number;
  readonly guidanceScale?: number;
  readonly scheduler?: SchedulerName;
  readonly negativePrompt?: string;
  readonly safetyChecker?: 'black' | 'report' | 'off';
  readonly seed?: number | bigint;
}

const numberFlags = [
  ['--width <number>', 'pixels, a multiple of 8'],
  ['--height <number>', 'pixels, a multiple of 8'],
  ['--steps <number>', 'denoising steps (50)'],
  ['--guidance-scale <number>', 'weight of classifier-free guidance (7.5)'],
] as const;

function withPictureFlags(command: Command): Command {
  for (const [flags, description] of numberFlags)
    command.addOption(new Option(flags, description).argParser(number));
  return command
    .option('--seed <number>', 'seed of the noise the picture begins with', seedNumber)
    .option('-o, --output <file>', 'file to write: .png or .jpg', 'picture.png')
    .option('--scheduler <name>', schedulerNames.join(', '), oneOf(schedulerNames))
    .option('--negative-prompt <text>', 'what the picture is guided away from')
    .option('--safety-checker <mode>', 'black, report or off', oneOf(['black', 'report', 'off']));
}

export function addPictures(program: Command, terminal: Terminal): void {
  withPictureFlags(withModelFlags(withCommonFlags(program.command('imagine'))))
    .argument('<prompt...>', 'text and pictures in order')
    .description('paint a picture of a prompt')
    .addHelpText(
      'after',
      `\n${promptHelp}\n\nExample:\n  emu imagine --model models/emu "a dog wearing glasses" -o dog.png --seed 7`,
    )
    .action(async (prompt: readonly string[], flags: PictureFlags) => {
      const context = commandContext(terminal, flags);
      await checkOutput(flags.output);
      const items = await promptItems(prompt);
      await withModel(context, flags, (emu) =>
        showPicture(context, emu.imagine(items, pictureOptions(flags, terminal.signal)), flags.output),
      );
    });

  withPictureFlags(withModelFlags(withCommonFlags(program.command('blend'))))
    .argument('<pictures...>', 'paths of two or more pictures')
    .description('blend pictures into one')
    .addHelpText('after', '\nExample:\n  emu blend --model models/emu cat.png tiger.png -o both.png')
    .action(async (paths: readonly string[], flags: PictureFlags) => {
      const context = commandContext(terminal, flags);
      await checkOutput(flags.output);
      const pictures = paths.map((path) => image(path));
      await withModel(context, flags, (emu) =>
        showPicture(context, emu.blend(pictures, pictureOptions(flags, terminal.signal)), flags.output),
      );
    });
}

const encoders: Readonly<Record<string, typeof encodePng>> = {
  '.png': encodePng,
  '.jpg': (picture) => encodeJpeg(picture),
  '.jpeg': (picture) => encodeJpeg(picture),
};

/** Finds out before the work, not after it, that its picture could not be written. */
async function checkOutput(output: string): Promise<void> {
  if (!(extname(output).toLowerCase() in encoders)) {
    throw new EmuError('INVALID_OPTION', `[emu] --output ${output} ends in neither .png nor .jpg`, {
      details: { output },
    });
  }
  try {
    await access(dirname(output), constants.W_OK);
    const existing = await stat(output).catch(() => undefined);
    if (existing?.isDirectory() === true) throw new Error('it is a folder');
  } catch (error) {
    throw notWritable(output, error);
  }
}

function notWritable(output: string, cause: unknown): EmuError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new EmuError('INVALID_OPTION', `[emu] --output ${output} cannot be written: ${reason}`, {
    cause,
    details: { output },
  });
}

function pictureOptions(flags: PictureFlags, signal: AbortSignal): PictureOptions {
  const { width, height, steps, guidanceScale, scheduler, negativePrompt, safetyChecker, seed } = flags;
  const given = { width, height, steps, guidanceScale, scheduler, negativePrompt, safetyChecker, seed };
  return { ...definedOnly(given), signal };
}

async function showPicture(context: CommandContext, stream: GenerationStream, output: string): Promise<void> {
  const start = performance.now();
  for await (const event of stream) {
    if (event.type === 'image-progress') {
      const { step: completed, totalSteps: total } = event;
      const etaSeconds = ((performance.now() - start) / 1000 / completed) * (total - completed);
      context.progress.show({ phase: 'denoise', completed, total, unit: 'steps', etaSeconds });
    } else if (event.type === 'image') {
      await writePicture(context, event.image, output);
    }
  }
}

async function writePicture(context: CommandContext, picture: GeneratedImage, output: string): Promise<void> {
  const { width, height, seed, flagged } = picture;
  const encode = encoders[extname(output).toLowerCase()] ?? encodePng;
  const bytes = await encode(picture);
  try {
    await writeFile(output, bytes);
  } catch (error) {
    throw notWritable(output, error);
  }
  const note = flagged ? ', flagged by the safety checker' : '';
  context.result(
    { output, width, height, seed: seedJson(seed), flagged },
    `${output}: ${width}x${height}, seed ${seed}${note}`,
  );
}
