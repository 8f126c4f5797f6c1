import { createInterface } from 'node:readline';

import {
  EmuError,
  image,
  video,
  type ChatMessage,
  type Emu,
  type GenerationEvent,
  type GenerationStream,
} from '@emu/sdk';
import type { Command } from 'commander';

import { commandContext, seedJson, withCommonFlags, type CommandContext } from '../context.js';
import { reportFailure } from '../failure.js';
import { writeJson, type Terminal } from '../terminal.js';
import { promptHelp, promptItems, withModel, withModelFlags } from './model-flags.js';
import { textOptions, withTextFlags, type TextFlags } from './text-flags.js';

export function addGeneration(program: Command, terminal: Terminal): void {
  withTextFlags(withModelFlags(withCommonFlags(program.command('generate'))))
    .argument('<prompt...>', 'text and media in order')
    .description('continue a prompt of text, pictures and videos')
    .addHelpText(
      'after',
      `\n${promptHelp}\n\nExample:\n  emu generate --model models/emu @image:cat.png "This is a photo of"`,
    )
    .action(async (prompt: readonly string[], flags: TextFlags) => {
      const context = commandContext(terminal, flags);
      const items = await promptItems(prompt);
      await withModel(context, flags, (emu) =>
        showText(context, emu.generate(items, textOptions(flags, terminal.signal))),
      );
    });

  withTextFlags(withModelFlags(withCommonFlags(program.command('caption'))))
    .argument('<picture>', 'path of a picture')
    .description('describe a picture')
    .addHelpText('after', '\nExample:\n  emu caption --model models/emu cat.png')
    .action(async (picture: string, flags: TextFlags) => {
      const context = commandContext(terminal, flags);
      await withModel(context, flags, (emu) =>
        showText(context, emu.caption(image(picture), textOptions(flags, terminal.signal))),
      );
    });

  withTextFlags(withModelFlags(withCommonFlags(program.command('ask'))))
    .argument('<question>', 'the question')
    .requiredOption('--image <paths...>', 'the pictures it is about')
    .description('answer a question about pictures')
    .addHelpText(
      'after',
      '\nExample:\n  emu ask --model models/emu --image cat.png -- "What animal is this?"',
    )
    .action(async (question: string, flags: TextFlags & { image: readonly string[] }) => {
      const context = commandContext(terminal, flags);
      const pictures = flags.image.map((path) => image(path));
      await withModel(context, flags, (emu) =>
        showText(context, emu.ask(pictures, question, textOptions(flags, terminal.signal))),
      );
    });

  withTextFlags(withModelFlags(withCommonFlags(program.command('chat'))))
    .option('--system <text>', 'system message')
    .description('talk with an instruction-tuned model: a message per line on stdin')
    .addHelpText(
      'after',
      '\nA line "@image:PATH" or "@video:PATH" adds media to the next message. End with Ctrl-D.' +
        '\n\nExample:\n  printf "@image:cat.png\\nWhat animal is this?\\n" | emu chat --model models/emu-i',
    )
    .action(async (flags: TextFlags & { system?: string }) => {
      const context = commandContext(terminal, flags);
      await withModel(context, flags, (emu) => chat(context, emu, flags));
    });
}

/** Streams text to stdout; with --json one object per event. */
export async function showText(context: CommandContext, stream: GenerationStream): Promise<string> {
  const { stdout } = context.terminal;
  let text = '';
  for await (const event of stream) {
    if (event.type === 'text') text += event.text;
    if (context.json) writeJson(stdout, eventLine(event));
    else if (event.type === 'text') stdout.write(event.text);
  }
  if (!context.json) stdout.write('\n');
  return text;
}

/** An event as a line of JSON. Text generation makes no arrays; the one value JSON lacks is a long seed. */
function eventLine(event: GenerationEvent): object {
  return 'seed' in event ? { ...event, seed: seedJson(event.seed) } : event;
}

async function chat(
  context: CommandContext,
  emu: Emu,
  flags: TextFlags & { system?: string },
): Promise<void> {
  const { terminal } = context;
  // A model without roles is told of at once, not at the first message.
  if (emu.model.files.tokenizer.specialTokens.user === undefined) {
    throw new EmuError(
      'CAPABILITY_MISSING',
      `[chat] ${emu.model.files.name} is not instruction-tuned: it has no [USER] token`,
      {
        hint: 'Use `emu generate` or `emu ask`, or name the instruction-tuned model.',
      },
    );
  }
  const messages: ChatMessage[] =
    flags.system === undefined ? [] : [{ role: 'system', content: flags.system }];
  let media: NonNullable<ReturnType<typeof mediaOfLine>>[] = [];
  const prompt = (): void => {
    if (terminal.isInteractive && !context.json) terminal.stderr.write('> ');
  };
  prompt();
  // The signal closes the input: without it, Ctrl-C would wait for the next line.
  for await (const line of createInterface({ input: terminal.stdin, signal: terminal.signal })) {
    terminal.signal.throwIfAborted();
    try {
      const medium = mediaOfLine(line);
      if (medium !== undefined) media.push(medium);
      else if (line.trim() !== '') {
        const question = { role: 'user', content: [...media, line] } as const;
        media = [];
        const options = textOptions(flags, terminal.signal);
        const answer = await showText(context, emu.chat([...messages, question], options));
        messages.push(question, { role: 'assistant', content: answer });
      }
    } catch (error) {
      // A person can try again; a script must not go on as if it had been answered.
      if (!terminal.isInteractive || terminal.signal.aborted) throw error;
      reportFailure(error, terminal, context.json);
    }
    prompt();
  }
  terminal.signal.throwIfAborted();
}

function mediaOfLine(line: string): ReturnType<typeof image> | ReturnType<typeof video> | undefined {
  if (line.startsWith('@image:')) return image(line.slice('@image:'.length));
  if (line.startsWith('@video:')) return video(line.slice('@video:'.length));
  return undefined;
}
