import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError } from '@emu/sdk';
import { openModelFolder } from '@emu/sdk/weights';
import type { Command } from 'commander';

import { commandContext, withCommonFlags, type CommonFlags } from '../context.js';
import type { Terminal } from '../terminal.js';

export function addModelList(model: Command, terminal: Terminal): void {
  withCommonFlags(model.command('ls'))
    .argument('[dir]', 'folder whose subfolders are looked at', 'models')
    .description('list the models in a folder')
    .addHelpText('after', '\nExample:\n  emu model ls models')
    .action(async (folder: string, flags: CommonFlags) => {
      const { result, note } = commandContext(terminal, flags);
      let count = 0;
      for (const path of await foldersIn(folder)) {
        const found = await summary(path);
        if (found === undefined) continue;
        count++;
        result(found, `${path}  ${'error' in found ? `DAMAGED: ${found.error}` : textOf(found)}`);
      }
      if (count === 0) note(`no models in ${folder}`);
    });
}

interface Summary {
  readonly path: string;
  readonly layout: 'official' | 'converted';
  readonly languageLayers: number;
  readonly languageWidth: number;
  readonly paints: boolean;
  readonly chats: boolean;
}

function textOf({ layout, languageLayers, languageWidth, paints, chats }: Summary): string {
  const can = [...(paints ? ['paints'] : []), ...(chats ? ['chats'] : [])];
  return [`${layout} layout, ${languageLayers} layers of ${languageWidth}`, ...can].join(', ');
}

/** What a folder holds; undefined where there is no model. A damaged model is listed, with what is wrong. */
async function summary(
  path: string,
): Promise<Summary | { readonly path: string; readonly error: string } | undefined> {
  try {
    const { layout, config, visualDecoder } = await openModelFolder(path);
    const { layers, width, lora } = config.llama;
    return {
      path,
      layout,
      languageLayers: layers,
      languageWidth: width,
      paints: visualDecoder !== undefined,
      chats: lora !== undefined,
    };
  } catch (error) {
    const { code, message } = EmuError.from(error);
    return code === 'MODEL_NOT_FOUND' ? undefined : { path, error: message };
  }
}

async function foldersIn(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map(({ name }) => join(folder, name))
      .sort();
  } catch (cause) {
    throw new EmuError('MODEL_NOT_FOUND', `[emu] the folder ${folder} cannot be read: ${String(cause)}`, {
      cause,
      hint: 'Name the folder that holds the models.',
      details: { folder },
    });
  }
}
