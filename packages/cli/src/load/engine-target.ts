import type { Emu } from '@emu/sdk';

import { samplingOf, type TextRequest, type TextTarget } from './text-load.js';

/** Texts of a model in this process. */
export class EngineTarget implements TextTarget {
  constructor(readonly emu: Pick<Emu, 'generate'>) {}

  async answer(
    { prompt, tokens, seed }: TextRequest,
    onText: () => void,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const stream = this.emu.generate(prompt, {
      ...samplingOf(tokens),
      seed,
      signal,
      onAbort: 'return',
    });
    for await (const event of stream) if (event.type === 'text') onText();
    const { usage, finishReason } = await stream.result();
    return finishReason === 'aborted' ? undefined : usage.completionTokens;
  }
}
