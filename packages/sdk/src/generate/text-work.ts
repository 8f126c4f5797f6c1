import type { TextStream } from '../tokenizer/index.js';
import { searchBeams } from './beam-search.js';
import { TokenTrie } from './constraints.js';
import { searchContrastively } from './contrastive-search.js';
import { imagesIn, type Engine } from './engine.js';
import type { FinishReason, GenerationEvent, GenerationResult } from './events.js';
import { GenerationRecord } from './generation-record.js';
import type { GenerationWork } from './generation-stream.js';
import type { PictureSettings, TextSettings } from './options.js';
import { drawPicture } from './picture-work.js';
import type { Decoder, Element } from './step.js';
import { StopSequences } from './stop-sequences.js';
import { tellingChooser, type TokenDetails } from './token-details.js';
import { chooseAtRandom, chooseBest, makeTokens, type TokenChooser } from './token-loop.js';
import type { ImageHook, TokenRun, TokenTask, TokenWatcher } from './token-run.js';
import { rollOutImage } from './visual-rollout.js';

const finishReasons: Readonly<Record<TokenRun['end'], FinishReason>> = {
  stop: 'stop',
  length: 'length',
  halt: 'stop-sequence',
};

/** Makes text, and with `pictures` the pictures that the model puts into it. */
export class TextWork implements GenerationWork {
  readonly #record: GenerationRecord;
  readonly #text: TextStream;
  readonly #stops: StopSequences;
  /** Of the token that has been chosen last. */
  #details: TokenDetails | undefined;

  constructor(
    readonly engine: Engine,
    readonly elements: (signal: AbortSignal) => Promise<readonly Element[]>,
    readonly settings: TextSettings,
    readonly pictures: PictureSettings | undefined,
    seed: number | bigint,
  ) {
    this.#record = new GenerationRecord(seed);
    this.#text = engine.model.files.tokenizer.stream();
    this.#stops = new StopSequences(settings.stopSequences);
  }

  async run(emit: (event: GenerationEvent) => void, signal: AbortSignal): Promise<GenerationResult> {
    const { engine } = this;
    this.#record.listen(emit);
    const prompt = await this.elements(signal);
    const maxNewTokens = this.#room(prompt.length);
    const decoder = await engine.decoder(signal);
    // Before this call holds places in the cache: the roll-out needs some too, and two calls could wait for each other.
    const { pictures } = this;
    if (pictures !== undefined && pictures.guidanceScale > 1)
      await engine.unconditional(pictures.negativePrompt);
    const need = this.#need(prompt.length, maxNewTokens);
    const leave = await engine.enter(need, this.#record, { client: this.settings.client, signal });
    try {
      this.#record.started(engine.model.files.name, prompt.length, imagesIn(prompt, engine.rowsPerImage));
      const run = await this.#search(this.#task(decoder, prompt, maxNewTokens, signal));
      this.#flush();
      this.#record.score(run.score);
      return this.#record.result(this.#stops.isStopped ? 'stop-sequence' : finishReasons[run.end]);
    } finally {
      leave();
    }
  }

  partial(): GenerationResult {
    return this.#record.result('aborted');
  }

  /** Tokens that may be made; what the caller asked for must fit, a default shrinks. */
  #room(promptLength: number): number {
    const { maxNewTokens, isMaxGiven } = this.settings;
    this.engine.checkLength(promptLength, isMaxGiven ? maxNewTokens : 1);
    return Math.min(maxNewTokens, this.engine.model.contextLength - promptLength);
  }

  #need(promptLength: number, maxNewTokens: number): ReturnType<Engine['needOf']> {
    const { method } = this.settings;
    const { model } = this.engine;
    // Pictures take places that maxNewTokens does not count.
    const appended = this.pictures === undefined ? maxNewTokens : model.contextLength - promptLength;
    const sequences =
      method.kind === 'beams' ? method.numBeams : method.kind === 'contrastive' ? method.topK : 1;
    return this.engine.needOf(sequences, promptLength, appended);
  }

  #task(decoder: Decoder, prompt: readonly Element[], maxNewTokens: number, signal: AbortSignal): TokenTask {
    const { tokenizer } = this.engine.model.files;
    const { bos, eos } = tokenizer.specialTokens;
    const { choices, minNewTokens, repetitionPenalty, noRepeatNgramSize } = this.settings;
    const trie = choices && new TokenTrie(choices, eos);
    return {
      decoder,
      prompt,
      startId: bos,
      maxNewTokens,
      signal,
      onCached: (positions) => {
        this.#record.cached(positions);
      },
      imageHook: this.pictures && this.#imageHook(this.pictures, signal),
      rules: {
        repetitionPenalty,
        noRepeatNgramSize,
        minLength: minNewTokens + 1, // counts <s>
        endId: eos,
        vocabularySize: tokenizer.vocabularySize,
        allowedAfter: trie && ((generated) => trie.allowedAfter(generated)),
      },
    };
  }

  async #search(task: TokenTask): Promise<TokenRun> {
    const { method } = this.settings;
    const watch: TokenWatcher = (id) => this.#onToken(id);
    switch (method.kind) {
      case 'greedy':
        return makeTokens(task, this.#chooser(chooseBest), watch);
      case 'sample':
        return makeTokens(
          task,
          this.#chooser(chooseAtRandom(method.sampling, BigInt(this.#record.seed), 0)),
          watch,
        );
      case 'contrastive':
        return searchContrastively(task, method, watch);
      case 'beams': {
        const [best] = await searchBeams(task, { ...method, numReturn: 1 });
        // A beam may still lose its place at the last step, so nothing is certain before.
        for (const id of best?.ids ?? []) this.#onToken(id);
        return best ?? { ids: [], end: 'length' };
      }
    }
  }

  #chooser(choose: TokenChooser): TokenChooser {
    const { topLogprobs } = this.settings;
    if (topLogprobs === undefined) return choose;
    return tellingChooser(choose, topLogprobs, (details) => (this.#details = details));
  }

  #onToken(id: number): boolean {
    this.#record.token(id);
    if (this.settings.tellsTokens) {
      this.#record.tokenEvent(this.#details ?? { id, alternatives: [] });
    }
    this.#record.text(this.#stops.push(this.#text.push(id)));
    return this.#stops.isStopped;
  }

  #flush(): void {
    this.#record.text(this.#stops.push(this.#text.end()) + this.#stops.end());
  }

  #imageHook(pictures: PictureSettings, signal: AbortSignal): ImageHook {
    const { engine } = this;
    const { imageStart, imageEnd } = engine.model.files.tokenizer.specialTokens;
    const makeImage: ImageHook['makeImage'] = async (sequence, wanted, options) => {
      const count = engine.rowsPerImage;
      if (sequence.length + count + 2 > engine.model.contextLength) return undefined;
      this.#flush();
      const watch = (embedding: Float32Array, index: number): void => {
        this.#record.embedding(index, embedding);
      };
      const rows = await rollOutImage(sequence, [imageStart], count, { signal, watch });
      this.#record.image(await drawPicture(engine, rows, pictures, this.#record, signal));
      const last = rows.subarray((count - 1) * engine.width);
      return sequence.extend([last, imageEnd], wanted, { ...options, signal });
    };
    return { imageStartId: imageStart, makeImage };
  }
}
