import { EmuError, floatTensor, type Backend } from '@emu/program';

import {
  captionRules,
  prefillRules,
  scoreRules,
  type CaptionOptions,
  type EmuOptions,
  type PrefillOptions,
  type Prompt,
  type ScoreOptions,
} from './emu-options.js';
import type { ChatMessage, ChatPart } from './generate/chat-format.js';
import { Engine, type EngineStatistics } from './generate/engine.js';
import { GenerationStream, type GenerationWork } from './generate/generation-stream.js';
import { abortSignal, checkOptions } from './generate/option-checks.js';
import {
  generateRules,
  pictureRules,
  pictureSettings,
  seedInUse,
  textRules,
  textSettings,
  type CommonOptions,
  type GenerateOptions,
  type PictureOptions,
  type PictureSettings,
  type TextOptions,
} from './generate/options.js';
import { PictureWork } from './generate/picture-work.js';
import { checkedPrompt, rowsOfEmbedding, type MediaReader, type PromptPiece } from './generate/prompt.js';
import { scoreCandidates, type RankedCandidate } from './generate/ranking.js';
import { extendTogether, Sequence } from './generate/sequence.js';
import type { Element, RowOutput, RowResult } from './generate/step.js';
import { TextWork } from './generate/text-work.js';
import { captionPrompt, chatPrompt, questionPrompt, type VerbPrompt } from './generate/verbs.js';
import { joinRows } from './generate/visual-rollout.js';
import {
  embedding,
  type EmbeddingMedia,
  type ImageMedia,
  type PromptItem,
  type VideoMedia,
} from './image/media.js';
import { LoadedModel, type ModelFiles } from './session.js';

/**
 * An Emu: reads and writes text and pictures in any order. All calls may run at the same time; each gives what it
 * would give alone. Close it with `dispose()` or `await using`.
 */
export class Emu implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #streams = new Set<GenerationStream>();
  readonly #model: LoadedModel;

  protected constructor(model: LoadedModel, reader: MediaReader) {
    this.#model = model;
    this.#engine = new Engine(model, reader);
  }

  /**
   * Opens a model that has been found, in a backend. `fromPretrained` of the Node entry does both from a path.
   * @throws EmuError as LoadedModel.open.
   */
  static async open(
    files: ModelFiles,
    backend: Backend,
    reader: MediaReader,
    options: EmuOptions = {},
  ): Promise<Emu> {
    return new this(await LoadedModel.open(files, backend, options), reader);
  }

  /** The model beneath: configuration, device, memory, parts. */
  get model(): LoadedModel {
    return this.#model;
  }

  get disposed(): boolean {
    return this.#model.disposed;
  }

  /** What the engine holds at the moment and has done since the model was opened. */
  statistics(): EngineStatistics {
    return this.#engine.statistics();
  }

  /**
   * Text after a prompt; with `output: "image"` a picture of it, with `"interleaved"` both as the model likes.
   * @throws EmuError INVALID_OPTION, INVALID_PROMPT, CAPABILITY_MISSING, MODEL_DISPOSED at once; all other errors come
   *   through the stream.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): GenerationStream {
    this.#model.checkOpen();
    checkOptions('generate', options, generateRules);
    const items = checkedPrompt(prompt);
    if (options.output === 'image') return this.#picture(items, options);
    const pictures = options.output === 'interleaved' ? this.#pictureSettings(options) : undefined;
    return this.#text((signal) => this.#elements(items, signal), options, pictures);
  }

  /** The answer to a conversation, for instruction-tuned models. @throws EmuError CAPABILITY_MISSING for others. */
  chat(messages: readonly ChatMessage[], options: TextOptions = {}): GenerationStream {
    this.#model.checkOpen();
    checkOptions('chat', options, textRules);
    const parts = chatPrompt(messages, this.#model.files.tokenizer);
    return this.#text((signal) => this.#chatElements(parts, signal), options, undefined);
  }

  /** A caption of a picture or video. */
  caption(picture: ImageMedia | VideoMedia | EmbeddingMedia, options: CaptionOptions = {}): GenerationStream {
    this.#model.checkOpen();
    checkOptions('caption', options, captionRules);
    const [checked = picture] = checkedPrompt([picture], 'caption');
    if (typeof checked === 'string') throw notAPicture('caption');
    const { lead = '', ...rest } = options;
    return this.#verb(captionPrompt(checked, this.#model.files.tokenizer, lead), rest);
  }

  /** The answer to a question about pictures or videos. */
  ask(media: Prompt, question: string, options: TextOptions = {}): GenerationStream {
    this.#model.checkOpen();
    checkOptions('ask', options, textRules);
    const items = checkedPrompt(media, 'ask');
    checkedPrompt(question, 'ask question');
    return this.#verb(questionPrompt(items, question, this.#model.files.tokenizer), options);
  }

  /** A picture of a prompt of text and pictures (in-context generation). */
  imagine(prompt: Prompt, options: PictureOptions = {}): GenerationStream {
    this.#model.checkOpen();
    checkOptions('imagine', options, pictureRules);
    return this.#picture(checkedPrompt(prompt, 'imagine'), options);
  }

  /**
   * A blend of at least two pictures: they follow one another without any text.
   * @throws EmuError INVALID_PROMPT for fewer than two pictures, or for text.
   */
  blend(pictures: readonly (ImageMedia | EmbeddingMedia)[], options: PictureOptions = {}): GenerationStream {
    this.#model.checkOpen();
    checkOptions('blend', options, pictureRules);
    const items = checkedPrompt(pictures, 'blend');
    if (items.some((item) => typeof item === 'string')) throw notAPicture('blend');
    if (items.length < 2) {
      throw new EmuError('INVALID_PROMPT', `[blend] at least 2 pictures are needed, got ${items.length}`, {
        hint: 'Use imagine() for a variation of one picture.',
        details: { pictures: items.length },
      });
    }
    return this.#picture(items, options);
  }

  /**
   * Visual embeddings of pictures, each f32[N,D], ready for prompts and `decodeImage`.
   * @throws EmuError INVALID_PROMPT for an empty list or an item that is no picture, INVALID_IMAGE, or `signal.reason`.
   */
  async encodeImages(
    pictures: readonly ImageMedia[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly EmbeddingMedia[]> {
    this.#model.checkOpen();
    checkOptions('encodeImages', options, { signal: abortSignal });
    const items = checkedPrompt(pictures, 'encodeImages');
    const wrong = items.findIndex((item) => typeof item === 'string' || item.kind !== 'image');
    if (wrong >= 0) throw new EmuError('INVALID_PROMPT', `[encodeImages] item ${wrong} is not an image()`);
    const pieces = await this.#engine.encodeItems(items, options.signal);
    const { rowsPerImage, width, space } = this.#engine;
    return pieces.flatMap((piece) =>
      piece.kind === 'image'
        ? [embedding(floatTensor([rowsPerImage, width], joinRows(piece.rows)), { space })]
        : [],
    );
  }

  /** A picture of visual embeddings. @throws EmuError EMBEDDING_SPACE_MISMATCH, TENSOR_SHAPE_MISMATCH. */
  decodeImage(embeddings: EmbeddingMedia, options: PictureOptions = {}): GenerationStream {
    this.#model.checkOpen();
    checkOptions('decodeImage', options, pictureRules);
    const [checked] = checkedPrompt([embeddings], 'decodeImage');
    if (typeof checked !== 'object' || checked.kind !== 'embedding') throw notAPicture('decodeImage');
    const rows = joinRows(rowsOfEmbedding(checked, this.#engine));
    const settings = this.#pictureSettings(options);
    const seed = seedInUse(options.seed);
    return this.#start(new PictureWork(this.#engine, { kind: 'embeddings', rows }, settings, seed), options);
  }

  /**
   * How likely candidates are as continuations of a prompt, best first.
   * @throws EmuError INVALID_PROMPT for no candidates or an empty one, CONTEXT_LENGTH_EXCEEDED, or `signal.reason`.
   */
  async score(
    prompt: Prompt,
    candidates: readonly string[],
    options: ScoreOptions = {},
  ): Promise<readonly RankedCandidate[]> {
    this.#model.checkOpen();
    checkOptions('score', options, scoreRules);
    const items = checkedPrompt(prompt, 'score');
    const tokens = this.#candidateTokens(candidates);
    const { rankBy = 'token', segments = 1, client, signal } = options;
    const engine = this.#engine;
    const elements = await this.#elements(items, signal);
    const longest = Math.max(...tokens.map((candidate) => candidate.length));
    engine.checkLength(elements.length, longest);
    const decoder = await engine.decoder(signal);
    const slots = Math.min(tokens.length, 16);
    const need = engine.needOf(slots + 1, elements.length, longest);
    const leave = await engine.enter(need, undefined, { client, signal });
    try {
      const scores = await scoreCandidates(decoder, elements, tokens, { segments, slots, signal });
      return [...scores].sort((a, b) => rankOf(a, rankBy) - rankOf(b, rankBy));
    } finally {
      leave();
    }
  }

  /** Positions that a prompt takes, <s> and pictures included. Media are counted, not read. */
  countTokens(prompt: Prompt): number {
    this.#model.checkOpen();
    const rows = Array<Float32Array>(this.#engine.rowsPerImage).fill(new Float32Array());
    const pieces = checkedPrompt(prompt, 'countTokens').flatMap((item): PromptPiece[] => {
      if (typeof item === 'string') return [{ kind: 'text', text: item }];
      const frames = item.kind === 'video' ? item.frameCount : 1;
      return Array.from({ length: frames }, () => ({ kind: 'image', rows }));
    });
    return this.#engine.elementsOf(pieces).length;
  }

  /**
   * Low level: runs a prompt into the key/value cache. Close the sequence when done. `results` has the last position, or
   * every one.
   * @throws EmuError CONTEXT_LENGTH_EXCEEDED, or `signal.reason`.
   */
  async prefill(
    prompt: Prompt,
    options: PrefillOptions = {},
  ): Promise<{ readonly sequence: Sequence; readonly results: readonly RowResult[] }> {
    this.#model.checkOpen();
    checkOptions('prefill', options, prefillRules);
    const items = checkedPrompt(prompt, 'prefill');
    const {
      outputs = ['logits'],
      every = false,
      maxPositions = this.#model.contextLength,
      client,
      signal,
    } = options;
    const engine = this.#engine;
    const elements = await this.#elements(items, signal);
    engine.checkLength(Math.max(elements.length, maxPositions), 0);
    const decoder = await engine.decoder(signal);
    const leave = await engine.enter(
      engine.needOf(1, 0, Math.max(elements.length, maxPositions)),
      undefined,
      { client, signal },
    );
    const sequence = Sequence.open(decoder, leave);
    try {
      const results = every
        ? await sequence.extendEvery(elements, outputs, { signal })
        : [await sequence.prefill(elements, outputs, { signal })];
      return { sequence, results };
    } catch (error) {
      sequence.close();
      throw error;
    }
  }

  /** Low level: appends one element, a token id or an embedding f32[D], to each of several sequences in one run. */
  async step(
    sequences: readonly Sequence[],
    elements: readonly Element[],
    options: { readonly outputs?: readonly RowOutput[]; readonly signal?: AbortSignal } = {},
  ): Promise<readonly RowResult[]> {
    this.#model.checkOpen();
    checkOptions('step', options, { outputs: prefillRules.outputs, signal: abortSignal });
    if (sequences.length !== elements.length) {
      throw new EmuError(
        'INVALID_OPTION',
        `[step] ${elements.length} elements were given for ${sequences.length} sequences`,
        { details: { elements: elements.length, sequences: sequences.length } },
      );
    }
    const { outputs = ['logits'], signal } = options;
    return extendTogether(await this.#engine.decoder(signal), sequences, elements, outputs, { signal });
  }

  /** Cancels what is running, waits for it and frees all memory. Safe to call twice. */
  async dispose(): Promise<void> {
    if (this.disposed) return this.#model.dispose();
    const disposal = this.#model.dispose();
    const reason = new EmuError('MODEL_DISPOSED', '[model] the model was disposed while the call ran');
    for (const stream of this.#streams) stream.cancel(reason);
    await Promise.allSettled([...this.#streams].map((stream) => stream.result()));
    return disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #verb(prompt: VerbPrompt, options: TextOptions): GenerationStream {
    if (prompt.kind === 'plain') {
      return this.#text((signal) => this.#elements(prompt.items, signal), options, undefined);
    }
    const parts = chatPrompt(prompt.messages, this.#model.files.tokenizer, prompt.answerBegins);
    return this.#text((signal) => this.#chatElements(parts, signal), options, undefined);
  }

  #text(
    elements: (signal: AbortSignal) => Promise<readonly Element[]>,
    options: GenerateOptions,
    pictures: PictureSettings | undefined,
  ): GenerationStream {
    const { tokenizer } = this.#model.files;
    const encode = (choice: string): readonly number[] => tokenizer.encode(choice, { addBos: false });
    const settings = textSettings(options, this.#engine.configured, encode);
    const seed = seedInUse(options.seed);
    return this.#start(new TextWork(this.#engine, elements, settings, pictures, seed), options);
  }

  #picture(items: readonly PromptItem[], options: PictureOptions): GenerationStream {
    const settings = this.#pictureSettings(options);
    const elements = async (signal: AbortSignal): Promise<readonly Element[]> =>
      this.#engine.pictureElementsOf(await this.#engine.encodeItems(items, signal));
    const seed = seedInUse(options.seed);
    return this.#start(new PictureWork(this.#engine, { kind: 'prompt', elements }, settings, seed), options);
  }

  #pictureSettings(options: PictureOptions): PictureSettings {
    return pictureSettings(options, this.#engine.configured, this.#engine.pictureSizes);
  }

  #start(work: GenerationWork, { signal, onAbort }: CommonOptions): GenerationStream {
    const stream = new GenerationStream(work, { signal, onAbort });
    this.#streams.add(stream);
    const forget = (): void => void this.#streams.delete(stream);
    stream.result().then(forget, forget);
    return stream;
  }

  async #elements(
    items: readonly PromptItem[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Element[]> {
    return this.#engine.elementsOf(await this.#engine.encodeItems(items, signal));
  }

  async #chatElements(parts: readonly ChatPart[], signal: AbortSignal): Promise<readonly Element[]> {
    const pieces: PromptPiece[] = [];
    for (const part of parts) {
      if (part.kind === 'content') pieces.push(...(await this.#engine.encodeItems(part.items, signal)));
      else pieces.push(part);
    }
    return this.#engine.elementsOf(pieces);
  }

  #candidateTokens(candidates: readonly string[]): readonly (readonly number[])[] {
    if (!Array.isArray(candidates) || candidates.length === 0 || candidates.length > 10_000) {
      throw new EmuError('INVALID_PROMPT', '[score] candidates must be a list of 1..10000 texts', {
        details: { candidates: Array.isArray(candidates) ? candidates.length : typeof candidates },
      });
    }
    return candidates.map((candidate, index) => {
      if (typeof candidate === 'string' && candidate !== '') {
        return this.#model.files.tokenizer.encode(candidate, { addBos: false });
      }
      throw new EmuError('INVALID_PROMPT', `[score] candidate ${index} is not a text, or is empty`, {
        details: { candidate: index },
      });
    });
  }
}

function rankOf(
  { meanLoss, logProbability, authorsLoss }: RankedCandidate,
  by: 'token' | 'sum' | 'authors',
): number {
  if (by === 'token') return meanLoss;
  return by === 'sum' ? -logProbability : authorsLoss;
}

function notAPicture(place: string): EmuError {
  return new EmuError('INVALID_PROMPT', `[${place}] takes pictures only, got text`, {
    hint: 'Wrap the path or bytes in image().',
  });
}
