import { EmuError } from '@emu/program';

import type { PromptItem } from '../image/media.js';
import type { EmuTokenizer } from '../tokenizer/index.js';
import { chatParts, type ChatMessage } from './chat-format.js';

/** What a verb asks of the model: a conversation for the instruction-tuned one, a plain prompt for the other. */
export type VerbPrompt =
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[]; readonly answerBegins: string }
  | { readonly kind: 'plain'; readonly items: readonly PromptItem[] };

/** True for the instruction-tuned model, whose tokenizer knows the roles. */
export function isInstruct(tokenizer: EmuTokenizer): boolean {
  return tokenizer.specialTokens.user !== undefined;
}

/**
 * Prompt for a caption. The instruction-tuned model gets the authors' prompt of their COCO evaluation
 * (mm_eval/datasets/coco.py), the other the picture and `lead`, by default nothing: text after a picture is its caption.
 */
export function captionPrompt(picture: PromptItem, tokenizer: EmuTokenizer, lead: string): VerbPrompt {
  if (!isInstruct(tokenizer)) return { kind: 'plain', items: lead === '' ? [picture] : [picture, lead] };
  const request = 'please provide an accurate and concise description of the given image.';
  const messages = [{ role: 'user', content: [picture, ` ${request}`] }] as const;
  return { kind: 'chat', messages, answerBegins: ' the image depicts a photo of' };
}

/** Prompt for a question about pictures or videos (Emu1/inference.py, the question after the media). */
export function questionPrompt(
  media: readonly PromptItem[],
  question: string,
  tokenizer: EmuTokenizer,
): VerbPrompt {
  if (!isInstruct(tokenizer)) return { kind: 'plain', items: [...media, question] };
  return { kind: 'chat', messages: [{ role: 'user', content: [...media, question] }], answerBegins: '' };
}

/** @throws EmuError CAPABILITY_MISSING for a model without the tokens of a conversation. */
export function chatPrompt(
  messages: readonly ChatMessage[],
  tokenizer: EmuTokenizer,
  answerBegins = '',
): ReturnType<typeof chatParts> {
  if (!isInstruct(tokenizer)) {
    throw new EmuError(
      'CAPABILITY_MISSING',
      '[chat] this model is not instruction-tuned: it has no [USER] token',
      {
        hint: 'Use generate(), or open the instruction-tuned model.',
      },
    );
  }
  const parts = chatParts(messages);
  return answerBegins === '' ? parts : [...parts, { kind: 'text', text: answerBegins }];
}
