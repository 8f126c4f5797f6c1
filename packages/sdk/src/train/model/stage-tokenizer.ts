import { EmuError } from '@emu/program';

import { freshTokenizer } from '../../initialize/fresh-tokenizer.js';
import { EmuTokenizer } from '../../tokenizer/index.js';
import { readTokenizer } from '../../tokenizer/node.js';
import type { TextFile } from '../../weights/convert-texts.js';
import { statOrUndefined } from '../../weights/node-file.js';

/** The tokenizer of a stage, and what goes into the folders that the stage writes. */
export interface StageTokenizer {
  readonly tokenizer: EmuTokenizer;
  /** With the roles of a conversation. */
  readonly conversation: EmuTokenizer;
  readonly files: readonly TextFile[];
  /** For generation_config.json. */
  readonly ids: Readonly<Record<'bos_token_id' | 'eos_token_id' | 'pad_token_id', number>>;
}

/** Rows of the token table that conversations take. */
export const roleTokens = 2;

/**
 * Opens the tokenizer of a model folder (`ofModel`), or one for a model that starts from nothing, whose tokenizer.json
 * then names Emu's tokens. A table with two rows more than tokens keeps them for [USER] and [ASSISTANT].
 * @throws EmuError MODEL_NOT_FOUND without a tokenizer, INVALID_CONFIG if tokens and rows do not fit.
 */
export async function openTokenizer(
  folder: string | undefined,
  rows: number,
  ofModel: boolean,
): Promise<StageTokenizer> {
  if (folder === undefined) {
    throw new EmuError('MODEL_NOT_FOUND', '[train] no tokenizer was found', {
      hint: 'Name the folder of a tokenizer.json as `tokenizer` in the recipe.',
    });
  }
  return ofModel ? tokenizerOfModel(folder, rows) : tokenizerFromNothing(folder, rows);
}

async function tokenizerOfModel(folder: string, rows: number): Promise<StageTokenizer> {
  const tokenizer = await readTokenizer(folder);
  const conversation = await readTokenizer(folder, { instruct: true });
  if (tokenizer.vocabularySize > rows) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[train] the tokenizer has ${tokenizer.vocabularySize} tokens, the model's table ${rows} rows (${folder})`,
      { details: { tokens: tokenizer.vocabularySize, rows } },
    );
  }
  const files: TextFile[] = [];
  for (const name of ['tokenizer.json', 'tokenizer.model']) {
    const from = `${folder}/${name}`;
    if ((await statOrUndefined(from)) !== undefined) files.push({ kind: 'copy', path: name, from });
  }
  const { bos, eos, pad } = tokenizer.specialTokens;
  return { tokenizer, conversation, files, ids: { bos_token_id: bos, eos_token_id: eos, pad_token_id: pad } };
}

async function tokenizerFromNothing(folder: string, rows: number): Promise<StageTokenizer> {
  const { text, ids } = await withSpareRoles(folder, rows);
  const bytes = { tokenizerJson: new TextEncoder().encode(text) };
  return {
    tokenizer: await EmuTokenizer.fromBytes(bytes),
    conversation: await EmuTokenizer.fromBytes(bytes, { instruct: true }),
    files: [{ kind: 'text', path: 'tokenizer.json', text }],
    ids,
  };
}

/** Rows for the roles are spare when the model starts: it becomes a model that chats only with its adapter. */
async function withSpareRoles(folder: string, rows: number): ReturnType<typeof freshTokenizer> {
  try {
    return await freshTokenizer(folder, rows - roleTokens);
  } catch (error) {
    if (!EmuError.isInstance(error) || error.code !== 'INVALID_CONFIG') throw error;
    return freshTokenizer(folder, rows);
  }
}
