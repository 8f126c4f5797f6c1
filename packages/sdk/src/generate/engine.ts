import { EmuError } from '@emu/program';

import type { PromptItem } from '../image/media.js';
import { vaeScale } from '../models/vae-program.js';
import type { LoadedModel } from '../session.js';
import { Admission, type AdmissionOptions, type CacheNeed } from './admission.js';
import { visualDecoderOf } from './visual-decoder.js';
import type { GenerationRecord } from './generation-record.js';
import { encodePictures } from './image-encoder.js';
import { configuredDefaults, type GenerateOptions } from './options.js';
import {
  encodePrompt,
  promptElements,
  type MediaEncoder,
  type MediaReader,
  type PromptPiece,
} from './prompt.js';
import { Sequence } from './sequence.js';
import type { Decoder, DecoderStatistics, Element } from './step.js';
import { rollOutImage } from './visual-rollout.js';

/** What an engine holds at the moment, and what its language model has done since it was opened. */
export interface EngineStatistics extends DecoderStatistics {
  /** Calls that wait for a place in the key/value cache. */
  readonly queued: number;
  /** Places in the cache that calls under way have been promised. */
  readonly sequences: { readonly held: number; readonly total: number };
  readonly pages: { readonly held: number; readonly total: number };
}

/**
 * What all generations on one model share: the encoder for media, the places in the key/value cache, the roll-outs of
 * nothing that guidance needs.
 */
export class Engine implements MediaEncoder {
  /** Defaults from the model's generation_config.json. */
  readonly configured: GenerateOptions;
  readonly rowsPerImage: number;
  readonly width: number;
  readonly #admission: Admission;
  /** Roll-outs to guide away from, by prompt; undefined is none, a constant of the model. */
  readonly #unconditional = new Map<string | undefined, Promise<Float32Array>>();

  constructor(
    readonly model: LoadedModel,
    readonly reader: MediaReader,
  ) {
    this.configured = configuredDefaults(model.files.generation);
    this.rowsPerImage = model.config.causalTransformer.queries;
    this.width = model.config.llama.width;
    const { slots, pages } = model.cacheConfig;
    this.#admission = new Admission({ slots, pages }, model.options.queueLimit);
  }

  /** What the engine holds and has done; see `EngineStatistics`. */
  statistics(): EngineStatistics {
    const { slots, pages } = this.model.cacheConfig;
    const { held, queueLength } = this.#admission;
    return {
      queued: queueLength,
      sequences: { held: held.slots, total: slots },
      pages: { held: held.pages, total: pages },
      ...this.model.decoderStatistics,
    };
  }

  get space(): string {
    return this.model.files.space;
  }

  encode(
    pictures: Parameters<MediaEncoder['encode']>[0],
    signal: AbortSignal | undefined,
  ): ReturnType<MediaEncoder['encode']> {
    return encodePictures(this.model, pictures, signal);
  }

  /** Reads and encodes the media of a prompt. */
  encodeItems(
    items: readonly PromptItem[],
    signal: AbortSignal | undefined,
  ): Promise<readonly PromptPiece[]> {
    return encodePrompt(items, this, signal);
  }

  elementsOf(pieces: readonly PromptPiece[]): readonly Element[] {
    return promptElements(this.model.files.tokenizer, pieces);
  }

  /** Elements that ask for a picture: the prompt and [IMG], beside which white space is dropped as in a whole text. */
  pictureElementsOf(pieces: readonly PromptPiece[]): readonly Element[] {
    return this.elementsOf([...pieces, { kind: 'special', name: 'imageStart' }]);
  }

  /** Default side of pictures, and what sides must be multiples of. */
  get pictureSizes(): { readonly side: number; readonly scale: number } {
    const { unet, vae } = visualDecoderOf(this.model);
    const scale = vaeScale(vae);
    return { side: unet.sampleSize * scale, scale };
  }

  /**
   * Pages that sequences with a common prompt need at most.
   * positions: of the prompt and of what each sequence appends.
   */
  needOf(sequences: number, promptLength: number, appended: number): CacheNeed {
    const { pageSize } = this.#cacheShape;
    const own = Math.ceil(appended / pageSize) + 1; // one more for the page that is split
    return { slots: sequences, pages: Math.ceil(promptLength / pageSize) + sequences * own };
  }

  /** Waits for a place in the cache; tells the record when there is something to wait for. */
  async enter(
    need: CacheNeed,
    record: GenerationRecord | undefined,
    options: AdmissionOptions,
  ): Promise<() => void> {
    const entering = this.#admission.enter(need, options);
    const { queueLength } = this.#admission;
    if (queueLength > 0) record?.queued(queueLength - 1);
    return entering;
  }

  /**
   * Rows to guide away from, f32[N,D]: what the model makes of `negativePrompt`, by default of nothing (`<s>[IMG]`).
   * Computed once per model and prompt and kept.
   */
  unconditional(negativePrompt: string | undefined): Promise<Float32Array> {
    const known = this.#unconditional.get(negativePrompt);
    if (known !== undefined) return known;
    const pieces: readonly PromptPiece[] =
      negativePrompt === undefined ? [] : [{ kind: 'text', text: negativePrompt }];
    // No signal: others may wait for the same roll-out.
    const rolling = this.rollOut(this.pictureElementsOf(pieces), undefined, {});
    this.#unconditional.set(negativePrompt, rolling);
    rolling.catch(() => this.#unconditional.delete(negativePrompt));
    if (this.#unconditional.size > mostKept) this.#dropOldest();
    return rolling;
  }

  /** The N visual embeddings that follow a prompt, which ends with [IMG]: f32[N,D] row-major. */
  async rollOut(
    prompt: readonly Element[],
    record: GenerationRecord | undefined,
    { client, signal }: AdmissionOptions,
  ): Promise<Float32Array> {
    this.checkLength(prompt.length, this.rowsPerImage);
    const decoder = await this.decoder(signal);
    const leave = await this.enter(this.needOf(1, prompt.length, this.rowsPerImage), record, {
      client,
      signal,
    });
    try {
      record?.started(this.model.files.name, prompt.length, imagesIn(prompt, this.rowsPerImage));
      const sequence = Sequence.open(decoder);
      try {
        const watch =
          record &&
          ((embedding: Float32Array, index: number) => {
            record.embedding(index, embedding);
          });
        const onCached = (positions: number): void => record?.cached(positions);
        const options = { signal, onCached, ...(watch && { watch }) };
        return await rollOutImage(sequence, prompt, this.rowsPerImage, options);
      } finally {
        sequence.close();
      }
    } finally {
      leave();
    }
  }

  decoder(signal: AbortSignal | undefined): Promise<Decoder> {
    return this.model.decoder({ signal });
  }

  /** @throws EmuError CONTEXT_LENGTH_EXCEEDED when the context has no room for both. */
  checkLength(promptLength: number, appended: number): void {
    const { contextLength } = this.model;
    if (promptLength + appended <= contextLength) return;
    throw new EmuError(
      'CONTEXT_LENGTH_EXCEEDED',
      `[generate] a prompt of ${promptLength} and ${appended} to come are ${promptLength + appended} positions, the context has ${contextLength}`,
      {
        hint: 'Shorten the prompt, use fewer pictures, or lower maxNewTokens.',
        details: { promptLength, appended, contextLength },
      },
    );
  }

  get #cacheShape(): { readonly slots: number; readonly pages: number; readonly pageSize: number } {
    return this.model.cacheConfig;
  }

  #dropOldest(): void {
    for (const key of this.#unconditional.keys()) {
      if (key === undefined) continue;
      this.#unconditional.delete(key);
      return;
    }
  }
}

/** Negative prompts whose roll-outs are kept. */
const mostKept = 64;

/** Pictures in a prompt: every one of them is N embeddings. */
export function imagesIn(prompt: readonly Element[], rowsPerImage: number): number {
  return prompt.filter((element) => typeof element !== 'number').length / rowsPerImage;
}
