import type { Sample, SampleElement, SampleImage } from '@emu/data';

import { Engine } from '../../generate/engine.js';
import type { MediaReader, PromptPiece, VisualRows } from '../../generate/prompt.js';
import type { Element } from '../../generate/step.js';
import { rgbPixels } from '../../image/pixels.js';
import { promptElements } from '../../generate/prompt.js';
import { joinRows } from '../../generate/visual-rollout.js';
import { backendOf } from '../../node-device.js';
import { readModelFiles } from '../../node-model.js';
import { LoadedModel } from '../../session.js';
import { EmuError } from '@emu/program';

/** What a picture of a sample is to be painted from: everything that comes before it. */
export interface PictureTarget {
  readonly picture: Extract<SampleElement, { type: 'image' }>;
  readonly prompt: readonly SampleElement[];
}

/**
 * The last picture of a sample and what leads to it; of a pair, its text, whichever stands first. Undefined for a sample
 * in which nothing does.
 */
export function pictureTarget({ elements, kind }: Sample): PictureTarget | undefined {
  const place = elements.findLastIndex((element) => element.type === 'image');
  const picture = elements[place];
  if (picture?.type !== 'image') return undefined;
  const before = elements.slice(0, place);
  const prompt = kind === 'pair' ? elements.filter((element) => element.type === 'text') : before;
  return prompt.length === 0 ? undefined : { picture, prompt };
}

/** Nothing is read from outside: pictures come as pixels. */
const noReader: MediaReader = {
  readImage: () => Promise.reject(new EmuError('INTERNAL', '[unet] conditions read no media')),
  readFrames: () => Promise.reject(new EmuError('INTERNAL', '[unet] conditions read no media')),
};

/**
 * Conditions of the visual decoder: the visual embeddings that the frozen language model regresses after a prompt, with
 * its key/value cache. Prompts of text alone are kept, up to a number of bytes: the model does not change.
 */
export class ConditionSource {
  readonly #engine: Engine;
  readonly #kept = new Map<string, Promise<Float32Array>>();
  readonly #mostKept: number;

  private constructor(
    private readonly model: LoadedModel,
    keptBytes: number,
  ) {
    this.#engine = new Engine(model, noReader);
    this.#mostKept = Math.floor(keptBytes / (4 * this.#engine.rowsPerImage * this.#engine.width));
  }

  /** Opens the model of a folder. Dispose it when done. */
  static async open(folder: string, dtype: 'f32' | 'bf16', keptBytes: number): Promise<ConditionSource> {
    const files = await readModelFiles(folder);
    return new ConditionSource(await LoadedModel.open(files, backendOf('cpu'), { dtype }), keptBytes);
  }

  /** The condition without any prompt, f32[N,D]. */
  unconditional(): Promise<Float32Array> {
    return this.#engine.unconditional(undefined);
  }

  /** Conditions of several prompts, each f32[N,D]; the language model runs them together. */
  of(prompts: readonly (readonly SampleElement[])[]): Promise<readonly Float32Array[]> {
    return Promise.all(prompts.map((prompt) => this.#one(prompt)));
  }

  /** The embeddings of pictures themselves, each f32[N,D]. */
  async encode(pictures: readonly SampleImage[]): Promise<readonly Float32Array[]> {
    const encoded = await this.#encode(pictures);
    return encoded.map(joinRows);
  }

  dispose(): Promise<void> {
    return this.model.dispose();
  }

  async #one(prompt: readonly SampleElement[]): Promise<Float32Array> {
    const words = prompt.map((element) => (element.type === 'text' ? element.text : undefined));
    if (words.includes(undefined)) return this.#rollOut(prompt);
    const key = JSON.stringify(words);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const made = this.#rollOut(prompt);
    if (this.#mostKept > 0) this.#kept.set(key, made);
    if (this.#kept.size > this.#mostKept) this.#kept.delete([...this.#kept.keys()][0] ?? '');
    return made;
  }

  async #rollOut(prompt: readonly SampleElement[]): Promise<Float32Array> {
    const pictures = prompt.flatMap((element) => (element.type === 'image' ? [element.image] : []));
    return this.#engine.rollOut(this.#elements(prompt, await this.#encode(pictures)), undefined, {});
  }

  #encode(pictures: readonly SampleImage[]): Promise<readonly VisualRows[]> {
    const pixels = pictures.map(({ width, height, data }) => rgbPixels(width, height, data));
    return this.#engine.encode(pixels, undefined);
  }

  /** The prompt and [IMG]; texts that meet are joined by a space, as pretraining joins them. */
  #elements(prompt: readonly SampleElement[], rows: readonly VisualRows[]): readonly Element[] {
    let taken = 0;
    const pieces = prompt.map((element, index): PromptPiece => {
      if (element.type === 'image') return { kind: 'image', rows: rows[taken++] ?? [] };
      const joined = prompt[index - 1]?.type === 'text' ? ` ${element.text}` : element.text;
      return { kind: 'text', text: joined };
    });
    return promptElements(this.model.files.tokenizer, [...pieces, { kind: 'special', name: 'imageStart' }]);
  }
}
