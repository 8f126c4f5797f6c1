import type { FinishReason, GeneratedImage, GenerationEvent, GenerationResult } from './events.js';

/**
 * Keeps what a generation has made so far and tells of it as events. An abort that is to return something returns what
 * is here.
 */
export class GenerationRecord {
  readonly #seed: number | bigint;
  readonly #content: (string | GeneratedImage)[] = [];
  readonly #tokens: number[] = [];
  #emit: (event: GenerationEvent) => void = () => undefined;
  #score: number | undefined;
  #promptTokens = 0;
  #cachedTokens = 0;
  #promptImages = 0;
  #denoisingSteps = 0;

  constructor(seed: number | bigint) {
    this.#seed = seed;
  }

  get seed(): number | bigint {
    return this.#seed;
  }

  get imageCount(): number {
    return this.#content.filter((part) => typeof part !== 'string').length;
  }

  /** Events go to `emit` from now on. */
  listen(emit: (event: GenerationEvent) => void): void {
    this.#emit = emit;
  }

  queued(position: number): void {
    this.#emit({ type: 'queued', position });
  }

  started(model: string, promptTokens: number, promptImages: number): void {
    this.#promptTokens = promptTokens;
    this.#promptImages = promptImages;
    this.#emit({ type: 'started', model, seed: this.#seed });
  }

  /** Positions of the prompt that the cache had already. */
  cached(positions: number): void {
    this.#cachedTokens = positions;
  }

  token(id: number): void {
    this.#tokens.push(id);
  }

  /** Tells of a token; `token` keeps it. */
  tokenEvent(event: Omit<Extract<GenerationEvent, { type: 'token' }>, 'type'>): void {
    this.#emit({ type: 'token', ...event });
  }

  text(text: string): void {
    if (text === '') return;
    const last = this.#content.at(-1);
    if (typeof last === 'string') this.#content[this.#content.length - 1] = last + text;
    else this.#content.push(text);
    this.#emit({ type: 'text', text });
  }

  embedding(index: number, embedding: Float32Array): void {
    this.#emit({ type: 'visual-embedding', imageIndex: this.imageCount, index, embedding });
  }

  denoised(event: Omit<Extract<GenerationEvent, { type: 'image-progress' }>, 'type' | 'imageIndex'>): void {
    this.#denoisingSteps += 1;
    this.#emit({ type: 'image-progress', imageIndex: this.imageCount, ...event });
  }

  image(image: GeneratedImage): void {
    const imageIndex = this.imageCount;
    this.#content.push(image);
    this.#emit({ type: 'image', imageIndex, image });
  }

  score(score: number | undefined): void {
    this.#score = score;
  }

  result(finishReason: FinishReason): GenerationResult {
    const images = this.#content.filter((part) => typeof part !== 'string');
    return {
      text: this.#content.filter((part) => typeof part === 'string').join(''),
      images,
      content: [...this.#content],
      tokens: [...this.#tokens],
      usage: {
        promptTokens: this.#promptTokens,
        cachedTokens: this.#cachedTokens,
        completionTokens: this.#tokens.length,
        promptImages: this.#promptImages,
        images: images.length,
        denoisingSteps: this.#denoisingSteps,
      },
      finishReason,
      seed: this.#seed,
      ...(this.#score === undefined ? {} : { score: this.#score }),
    };
  }
}
