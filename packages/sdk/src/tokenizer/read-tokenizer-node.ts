import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError } from '@emu/program';

import type { TokenizerFiles, TokenizerOptions } from './emu-tokenizer.js';
import { EmuTokenizer } from './emu-tokenizer.js';

/** Larger files are refused before they are read. */
const maxFileBytes = 128 * 2 ** 20;

/** The bytes of a file, or undefined if there is none. */
async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) {
      throw new EmuError(
        'CHECKPOINT_CORRUPT',
        `[tokenizer] ${path} has ${size} bytes, at most ${maxFileBytes} are read`,
        {
          details: { path, size, maximum: maxFileBytes },
        },
      );
    }
    return await readFile(path);
  } catch (error) {
    if (EmuError.isInstance(error)) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new EmuError('MODEL_NOT_FOUND', `[tokenizer] ${path} cannot be read: ${String(error)}`, {
      cause: error,
      details: { path },
    });
  }
}

/**
 * Opens the tokenizer of a model folder: tokenizer.json, or tokenizer.model where only that is there.
 * @throws EmuError MODEL_NOT_FOUND if the folder has neither, and what EmuTokenizer.fromBytes throws.
 */
export async function readTokenizer(folder: string, options: TokenizerOptions = {}): Promise<EmuTokenizer> {
  const tokenizerJson = await readIfThere(join(folder, 'tokenizer.json'));
  const tokenizerModel = tokenizerJson ? undefined : await readIfThere(join(folder, 'tokenizer.model'));
  if (!tokenizerJson && !tokenizerModel) {
    throw new EmuError(
      'MODEL_NOT_FOUND',
      `[tokenizer] neither tokenizer.json nor tokenizer.model is in ${folder}`,
      {
        hint: "Point to the folder that holds LLaMA's tokenizer files, llama_config in Emu's checkpoints.",
        details: { folder },
      },
    );
  }
  const files: TokenizerFiles = {
    ...(tokenizerJson && { tokenizerJson }),
    ...(tokenizerModel && { tokenizerModel }),
  };
  return EmuTokenizer.fromBytes(files, options);
}
