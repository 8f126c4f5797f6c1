import { type Element } from '@emu/sdk/generate';
import { encodeImagesInputs, encodeImagesProgram } from '@emu/sdk/models';
import { decodeImage } from '@emu/sdk';
import { preprocessForEncoder } from '@emu/sdk/image';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Goldens } from './goldens.js';
import type { Subject } from './subject.js';

/* Prompts as the cases write them, with special tokens as text, turned into the elements of a sequence. */

/** Pixels of picture `index` as the encoder takes them: the golden ones, so that stages are tested one by one. */
export async function pixelsOf(subject: Subject, goldens: Goldens, index: number): Promise<Float32Array> {
  const golden = await goldens.tensor('preprocess.safetensors', `image${index}.pixel_values`);
  if (golden?.data instanceof Float32Array) return golden.data;
  const file = goldens.images[index];
  if (file === undefined)
    throw new Error(`the case names picture ${index}, the manifest has ${goldens.images.length}`);
  const pixels = await decodeImage(await readFile(join(goldens.root, file)));
  return preprocessForEncoder(pixels, subject.config.visual.imageSize).data;
}

/** Visual embeddings of pictures, one list of N rows f32[D] per picture, through the model's encoder. */
export async function encodePictures(
  subject: Subject,
  pixels: readonly Float32Array[],
): Promise<readonly (readonly Float32Array[])[]> {
  const { queries, outputWidth } = subject.config.causalTransformer;
  const batch = new Float32Array(pixels.reduce((sum, picture) => sum + picture.length, 0));
  let at = 0;
  for (const picture of pixels) {
    batch.set(picture, at);
    at += picture.length;
  }
  const program = encodeImagesProgram(subject.config, pixels.length, {
    precision: { matrices: subject.dtype },
  });
  const { embeddings } = await subject.run(program, encodeImagesInputs(subject.config, batch));
  return pixels.map((_, picture) =>
    Array.from({ length: queries }, (_row, row) => {
      const start = (picture * queries + row) * outputWidth;
      return (embeddings as Float32Array).subarray(start, start + outputWidth);
    }),
  );
}

/** Visual embeddings of the manifest's pictures by number. */
export async function embeddingsOf(
  subject: Subject,
  goldens: Goldens,
  images: readonly number[],
): Promise<readonly Float32Array[]> {
  if (images.length === 0) return [];
  const pixels = await Promise.all(images.map((index) => pixelsOf(subject, goldens, index)));
  return (await encodePictures(subject, pixels)).flat();
}

/** Token ids of a prompt in which special tokens are written out, <s> first. */
export function templateIds(subject: Subject, prompt: string): readonly number[] {
  return subject.tokenizer.encode(prompt, { allowSpecialTokens: true });
}

/** Elements of a prompt: its <image> tokens take the rows in order. */
export function templateElements(
  subject: Subject,
  prompt: string,
  imageRows: readonly Float32Array[],
): readonly Element[] {
  return withImageRows(subject, templateIds(subject, prompt), imageRows);
}

export function withImageRows(
  subject: Subject,
  ids: readonly number[],
  imageRows: readonly Float32Array[],
): readonly Element[] {
  let taken = 0;
  const elements = ids.map((id) =>
    id === subject.tokenizer.specialTokens.imageSlot ? (imageRows[taken++] ?? id) : id,
  );
  if (taken !== imageRows.length) {
    throw new Error(`the prompt has ${taken} <image> tokens for ${imageRows.length} visual embeddings`);
  }
  return elements;
}

/** The text between [IMG] and [/IMG] for one picture. */
export function imagePlaceholder(subject: Subject): string {
  return `[IMG]${'<image>'.repeat(subject.config.causalTransformer.queries)}[/IMG]`;
}
