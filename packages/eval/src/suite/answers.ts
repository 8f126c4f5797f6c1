import type { Emu, PromptItem } from '@emu/sdk';

/** Where a text ends. */
export interface TextEnd {
  readonly maxNewTokens: number;
  readonly stopSequences?: readonly string[];
  readonly signal: AbortSignal | undefined;
}

/** The text after a prompt in the form of pretraining, by greedy search, without white space around it. */
export async function continuation(
  emu: Emu,
  prompt: readonly PromptItem[],
  { signal, ...end }: TextEnd,
): Promise<string> {
  const options = { ...end, numBeams: 1, ...(signal && { signal }) };
  return (await emu.generate(prompt, options).text()).trim();
}

/**
 * The answer to a question. An instruction-tuned model gets the conversation it was tuned with, any other the question
 * after the pictures.
 */
export async function answer(
  emu: Emu,
  media: readonly PromptItem[],
  question: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const options = { maxNewTokens: 12, numBeams: 1, ...(signal && { signal }) };
  return (await emu.ask(media, question, options).text()).trim();
}
