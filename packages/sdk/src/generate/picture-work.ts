import { floatTensor } from '@emu/program';

import { denoise } from './diffusion-loop.js';
import type { Engine } from './engine.js';
import type { GeneratedImage, GenerationEvent, GenerationResult } from './events.js';
import { GenerationRecord } from './generation-record.js';
import type { GenerationWork } from './generation-stream.js';
import type { PictureSettings } from './options.js';
import { decodePicture, previewPicture } from './picture.js';
import { blackened, checkSafety } from './safety-check.js';
import type { Element } from './step.js';

/** What a picture is drawn from: elements of a prompt, or embeddings f32[N,D] that are there already. */
export type PictureSource =
  | { readonly kind: 'prompt'; readonly elements: (signal: AbortSignal) => Promise<readonly Element[]> }
  | { readonly kind: 'embeddings'; readonly rows: Float32Array };

/** Makes one picture: roll-out of visual embeddings, denoising, decoding, safety check. */
export class PictureWork implements GenerationWork {
  readonly #record: GenerationRecord;

  constructor(
    readonly engine: Engine,
    readonly source: PictureSource,
    readonly settings: PictureSettings,
    seed: number | bigint,
  ) {
    this.#record = new GenerationRecord(seed);
  }

  async run(emit: (event: GenerationEvent) => void, signal: AbortSignal): Promise<GenerationResult> {
    this.#record.listen(emit);
    const condition = await this.#condition(signal);
    this.#record.image(await drawPicture(this.engine, condition, this.settings, this.#record, signal));
    return this.#record.result('stop');
  }

  partial(): GenerationResult {
    return this.#record.result('aborted');
  }

  async #condition(signal: AbortSignal): Promise<Float32Array> {
    if (this.source.kind === 'prompt') {
      const { client } = this.settings;
      return this.engine.rollOut(await this.source.elements(signal), this.#record, { client, signal });
    }
    this.#record.started(this.engine.model.files.name, 0, 1);
    return this.source.rows;
  }
}

/** Draws a picture of visual embeddings f32[N,D] and tells the record of every step. */
export async function drawPicture(
  engine: Engine,
  condition: Float32Array,
  settings: PictureSettings,
  record: GenerationRecord,
  signal: AbortSignal,
): Promise<GeneratedImage> {
  const { model } = engine;
  const { width, height, guidanceScale, previewEvery } = settings;
  const { scale } = engine.pictureSizes;
  const size = { height: height / scale, width: width / scale };
  const unconditional = guidanceScale > 1 ? await engine.unconditional(settings.negativePrompt) : undefined;
  signal.throwIfAborted();
  const task = { ...settings, condition, unconditional, signal };
  const latents = await denoise(
    model,
    { ...task, seed: BigInt(record.seed), pictureIndex: record.imageCount },
    async (step, totalSteps, state) => {
      const isShown = previewEvery > 0 && step % previewEvery === 0 && step < totalSteps;
      const preview = isShown ? { preview: await previewPicture(model, state, size, signal) } : {};
      record.denoised({ step, totalSteps, ...preview });
    },
  );
  const picture = await decodePicture(model, latents, size, signal);
  const checked = settings.safetyChecker !== 'off' && model.has('safety');
  const flagged = checked && (await checkSafety(model, picture, signal)).flagged;
  const shown = flagged && settings.safetyChecker === 'black' ? blackened(picture) : picture;
  const embeddings = floatTensor([engine.rowsPerImage, engine.width], condition);
  return { ...shown, seed: record.seed, flagged, checked, embeddings };
}
