import { createInterface } from 'node:readline';

import { image, video, type ChatMessage, type Emu, type GenerationStream } from '@emu/sdk';
import type { Command } from 'commander';

import { commandContext, withCommonFlags, type CommandContext } from '../context.js';
import { writeJson, type Terminal } from '../terminal.js';
import { openModel, promptHelp, promptItems, withModel, withModelFlags } from './model-flags.js';
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
      await withModel(context, flags, async (emu) =>
        showText(context, emu.generate(await promptItems(prompt), textOptions(flags, terminal.signal))),
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
      const emu = await openModel(context, flags);
      try {
        await chat(context, emu, flags);
      } finally {
        await emu.dispose();
      }
    });
}

/** Streams text to stdout; with --json one object per event. */
export async function showText(context: CommandContext, stream: GenerationStream): Promise<string> {
  const { stdout } = context.terminal;
  let text = '';
  for await (const event of stream) {
    if (event.type === 'text') text += event.text;
    if (context.json) writeJson(stdout, withoutArrays(event));
    else if (event.type === 'text') stdout.write(event.text);
  }
  if (!context.json) stdout.write('\n');
  return text;
}

/** Numbers of typed arrays are data for files, not for lines of JSON; bigints are written as text. */
function withoutArrays(event: object): object {
  return Object.fromEntries(
    Object.entries(event).map(([key, value]) => {
      if (ArrayBuffer.isView(value)) return [key, Array.from(value as Float32Array)];
      return [key, typeof value === 'bigint' ? value.toString() : (value as unknown)];
    }),
  );
}

async function chat(
  context: CommandContext,
  emu: Emu,
  flags: TextFlags & { system?: string },
): Promise<void> {
  const { terminal } = context;
  const messages: ChatMessage[] =
    flags.system === undefined ? [] : [{ role: 'system', content: flags.system }];
  let media: (ReturnType<typeof image> | ReturnType<typeof video>)[] = [];
  const prompt = (): void => {
    if (terminal.isInteractive && !context.json) terminal.stderr.write('> ');
  };
  prompt();
  for await (const line of createInterface({ input: terminal.stdin })) {
    terminal.signal.throwIfAborted();
    if (line.startsWith('@image:')) media.push(image(line.slice('@image:'.length)));
    else if (line.startsWith('@video:')) media.push(video(line.slice('@video:'.length)));
    else if (line.trim() !== '') {
      messages.push({ role: 'user', content: [...media, line] });
      media = [];
      const answer = await showText(context, emu.chat(messages, textOptions(flags, terminal.signal)));
      messages.push({ role: 'assistant', content: answer });
    }
    prompt();
  }
}
