import { EmuError } from '@emu/program';

import type { PromptItem } from '../image/media.js';
import { checkedPrompt, type PromptPiece } from './prompt.js';

/** One message of a conversation. Assistant messages are earlier answers. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: PromptItem | readonly PromptItem[];
}

/**
 * The message that Emu-I was tuned with for one picture, in pieces: its [IMG] and [/IMG] are the real tokens around a
 * plain word. Source: Emu1/inference.py:10.
 */
const imageSystem = systemMessage(
  'You will be presented with an image: ',
  '. You will be able to see the image after I provide it to you. Please answer my questions based on the given image.',
);

/** The same for a video. Source: Emu1/inference.py:11. */
const videoSystem = systemMessage(
  'You are a helpful assistant and you will be presented with a video consisting of multiple chronological images: ',
  '. You will be able to see the video after I provide it to you. Please answer my questions based on the given video.',
);

function systemMessage(before: string, after: string): readonly PromptPiece[] {
  return [
    { kind: 'text', text: before },
    { kind: 'special', name: 'imageStart' },
    { kind: 'text', text: 'ImageContent' },
    { kind: 'special', name: 'imageEnd' },
    { kind: 'text', text: after },
  ];
}

/** A part of a chat prompt: fixed pieces, or content of a caller that is still to be encoded. */
export type ChatPart = PromptPiece | { readonly kind: 'content'; readonly items: readonly PromptItem[] };

/**
 * The instruction format: `<system> [USER]: <question> [ASSISTANT]: <answer></s> [USER]: ... [ASSISTANT]:`. Without a
 * system message, a conversation with one picture gets the authors' image message, one with a video their video
 * message, any other none.
 * Source: Emu1/inference.py:64-68,160-166 and mm_eval/datasets/visdial.py:74-80.
 * @throws EmuError INVALID_PROMPT for an empty list, a role that does not fit its place, or empty content.
 */
export function chatParts(messages: readonly ChatMessage[]): readonly ChatPart[] {
  const checked = checkedMessages(messages);
  const system = checked[0]?.role === 'system' ? checked[0] : undefined;
  const turns = system === undefined ? checked : checked.slice(1);
  const parts: ChatPart[] =
    system === undefined ? [...defaultSystem(turns)] : [{ kind: 'content', items: system.items }];
  for (const { role, items } of turns) {
    parts.push(
      { kind: 'text', text: ' ' },
      { kind: 'special', name: role === 'user' ? 'user' : 'assistant' },
    );
    parts.push({ kind: 'text', text: ': ' }, { kind: 'content', items });
    if (role === 'assistant') parts.push({ kind: 'special', name: 'eos' });
  }
  return [
    ...parts,
    { kind: 'text', text: ' ' },
    { kind: 'special', name: 'assistant' },
    { kind: 'text', text: ':' },
  ];
}

interface CheckedMessage {
  readonly role: ChatMessage['role'];
  readonly items: readonly PromptItem[];
}

function checkedMessages(messages: readonly ChatMessage[]): readonly CheckedMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new EmuError('INVALID_PROMPT', '[chat] there must be at least one message');
  }
  const list: readonly ChatMessage[] = messages; // after isArray they are `any`
  const checked = list.map((message, index) => {
    checkRole(message, list[index - 1], index);
    return { role: message.role, items: checkedPrompt(message.content, `chat message ${index}`) };
  });
  if (checked.at(-1)?.role !== 'user') {
    throw new EmuError(
      'INVALID_PROMPT',
      `[chat] the last message is of role ${checked.at(-1)?.role}, not user`,
      {
        hint: 'End the conversation with the question to answer.',
      },
    );
  }
  return checked;
}

function checkRole(message: ChatMessage | null, before: ChatMessage | undefined, index: number): void {
  const role = message?.role;
  const fits =
    (role === 'system' && index === 0) ||
    (role === 'user' && before?.role !== 'user') ||
    (role === 'assistant' && before?.role === 'user');
  if (fits) return;
  throw new EmuError(
    'INVALID_PROMPT',
    `[chat] message ${index} of role ${JSON.stringify(role)} cannot follow ${before?.role ?? 'nothing'}`,
    {
      hint: 'A system message may come first; then user and assistant take turns, beginning with user.',
      details: { index, role, before: before?.role },
    },
  );
}

function defaultSystem(turns: readonly CheckedMessage[]): readonly PromptPiece[] {
  const media = turns.flatMap(({ items }) => items.filter((item) => typeof item !== 'string'));
  if (media.some(({ kind }) => kind === 'video')) return videoSystem;
  return media.length === 1 ? imageSystem : [];
}
