import { EmuError } from '@emu/program';

import type { AddedToken, BpeVocabulary } from './vocabulary.js';

/** What the tokens are called in prompts built from parts. */
export type SpecialTokenName =
  'unknown' | 'bos' | 'eos' | 'pad' | 'imageStart' | 'imageEnd' | 'imageSlot' | 'user' | 'assistant';

/** Text of the tokens Emu adds to LLaMA's, in the order of their ids (modeling_llama.py:20-26,143-161). */
const addedTexts = { pad: '[PAD]', imageStart: '[IMG]', imageEnd: '[/IMG]', imageSlot: '<image>' } as const;
/** The instruction-tuned model adds two more (inference.py). */
const instructTexts = { user: '[USER]', assistant: '[ASSISTANT]' } as const;

/** Ids of the special tokens; user and assistant are there only for the instruction-tuned model. */
export type SpecialTokens = Readonly<
  Record<Exclude<SpecialTokenName, 'user' | 'assistant'>, number> &
    Partial<Record<'user' | 'assistant', number>>
>;

/** All whole tokens of a tokenizer, by name, text and id. */
export interface SpecialTokenTable {
  readonly ids: SpecialTokens;
  /** In the order of their ids, beyond LLaMA's vocabulary. */
  readonly added: readonly AddedToken[];
  readonly idOfText: ReadonlyMap<string, number>;
}

/**
 * Gives Emu's tokens their ids: those the file names keep theirs, the others follow in the authors' order.
 */
export function specialTokenTable(vocabulary: BpeVocabulary, instruct: boolean): SpecialTokenTable {
  const added = [...vocabulary.addedTokens];
  const size = vocabulary.pieces.length;
  const wanted = { ...addedTexts, ...(instruct ? instructTexts : {}) };
  for (const content of Object.values(wanted)) {
    if (!added.some((token) => token.content === content)) added.push({ content, id: size + added.length });
  }
  const idOfText = new Map(added.map(({ content, id }) => [content, id]));
  const idOf = (content: string): number => {
    const id = idOfText.get(content);
    if (id === undefined) throw new EmuError('INTERNAL', `[tokenizer] ${content} got no id`);
    return id;
  };
  const { unknownId, bosId, eosId } = vocabulary;
  const ids: SpecialTokens = {
    unknown: unknownId,
    bos: bosId,
    eos: eosId,
    pad: idOf(addedTexts.pad),
    imageStart: idOf(addedTexts.imageStart),
    imageEnd: idOf(addedTexts.imageEnd),
    imageSlot: idOf(addedTexts.imageSlot),
    ...(idOfText.has(instructTexts.user) && idOfText.has(instructTexts.assistant)
      ? { user: idOf(instructTexts.user), assistant: idOf(instructTexts.assistant) }
      : {}),
  };
  for (const id of [unknownId, bosId, eosId]) idOfText.set(vocabulary.pieces[id] ?? '', id);
  return { ids, added, idOfText };
}
