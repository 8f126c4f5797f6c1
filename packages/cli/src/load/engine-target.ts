import type { Emu } from '@emu/sdk';

import type { TextRequest, TextTarget } from './text-load.js';

/** Texts of a model in this process. */
export class EngineTarget implements TextTarget {
  constructor(readonly emu: Pick<Emu, 'generate'>) {}

  async answer(
    { prompt, tokens, seed }: TextRequest,
    onText: () => void,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const stream = this.emu.generate(prompt, {
      ...{ numBeams: 1, temperature: 1, topP: 1, topK: 0 },
      ...{ minNewTokens: tokens, maxNewTokens: tokens },
      seed,
      signal,
      onAbort: 'return',
    });
    for await (const event of stream) if (event.type === 'text') onText();
    const { usage, finishReason } = await stream.result();
    return finishReason === 'aborted' ? undefined : usage.completionTokens;
  }
}
