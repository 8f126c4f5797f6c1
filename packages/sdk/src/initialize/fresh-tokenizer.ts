import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError } from '@emu/program';

import { EmuTokenizer } from '../tokenizer/index.js';

/** A tokenizer.json that names all of Emu's tokens, and the ids that a generation_config.json needs. */
export interface FreshTokenizer {
  readonly text: string;
  readonly ids: {
    readonly bos_token_id: number;
    readonly eos_token_id: number;
    readonly pad_token_id: number;
  };
}

/** Of a model without and with the tokens of a conversation. */
const kinds = [{ instruct: false }, { instruct: true }] as const;

/**
 * Reads tokenizer.json of a folder and adds Emu's tokens to it by name: [PAD], [IMG], [/IMG] and <image>, and
 * [USER] and [ASSISTANT] if the model has two rows more. So the checkpoint says itself which tokens it has.
 * `rows`: rows of the model's token table.
 * @throws EmuError MODEL_NOT_FOUND without the file, CHECKPOINT_CORRUPT or CAPABILITY_MISSING if it is no LLaMA
 * tokenizer, INVALID_CONFIG if `rows` is neither of the two counts.
 */
export async function freshTokenizer(folder: string, rows: number): Promise<FreshTokenizer> {
  const path = join(folder, 'tokenizer.json');
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new EmuError('MODEL_NOT_FOUND', `[tokenizer] ${path} cannot be read`, { cause, details: { path } });
  }
  const counts: number[] = [];
  for (const kind of kinds) {
    const tokenizer = await EmuTokenizer.fromBytes({ tokenizerJson: bytes }, kind);
    counts.push(tokenizer.vocabularySize);
    if (tokenizer.vocabularySize !== rows) continue;
    const { bos, eos, pad } = tokenizer.specialTokens;
    return {
      text: withAddedTokens(bytes, tokenizer),
      ids: { bos_token_id: bos, eos_token_id: eos, pad_token_id: pad },
    };
  }
  const wanted = [...new Set(counts)].join(' or ');
  throw new EmuError(
    'INVALID_CONFIG',
    `[config] llama.vocabulary is ${rows}; the tokenizer makes it ${wanted}`,
    {
      hint: `Set llama.vocabulary to ${counts[0] ?? ''}, or to ${counts[1] ?? ''} for a model that chats.`,
      details: { vocabulary: rows, tokenizer: counts, path },
    },
  );
}

const names = ['pad', 'imageStart', 'imageEnd', 'imageSlot', 'user', 'assistant'] as const;

/** The same file with an entry for every token beyond the vocabulary. The reader above has checked its form. */
function withAddedTokens(bytes: Uint8Array, tokenizer: EmuTokenizer): string {
  const json = JSON.parse(new TextDecoder().decode(bytes)) as { added_tokens: { id: number }[] };
  const known = new Set(json.added_tokens.map(({ id }) => id));
  const added = names.flatMap((name) => {
    const id = tokenizer.specialTokens[name];
    if (id === undefined || known.has(id)) return [];
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    return [{ id, content: tokenizer.tokenText(id), ...flags }];
  });
  const all = [...json.added_tokens, ...added].sort((a, b) => a.id - b.id);
  return `${JSON.stringify({ ...json, added_tokens: all })}\n`;
}
