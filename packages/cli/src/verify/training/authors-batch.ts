import type { SpecialTokens } from '@emu/sdk/tokenizer';
import type { TrainingSequence } from '@emu/sdk/train';

import { list, text, type Goldens } from '../goldens.js';
import { imagePlaceholder, pixelsOf, templateIds } from '../prompts.js';
import type { Subject } from '../subject.js';

const file = 'training.safetensors';

/** The batch of the authors' training step: sequences, right-padded to one length. */
export interface AuthorsBatch {
  readonly sequences: readonly TrainingSequence[];
  /** T: places of the longest. */
  readonly length: number;
  readonly pictures: number;
}

/** The batch as the folder holds it: token ids and pixels, or, without those, the texts of training.json. */
export async function authorsBatch(subject: Subject, goldens: Goldens): Promise<AuthorsBatch> {
  const special = subject.tokenizer.specialTokens;
  const rows = (await storedRows(goldens, special)) ?? (await writtenRows(subject, goldens));
  const pictures = await picturesOf(subject, goldens, rows);
  let taken = 0;
  const sequences = rows.map((ids): TrainingSequence => {
    const count = pictureCount(ids, special);
    taken += count;
    return { ids, pictures: pictures.slice(taken - count, taken) };
  });
  return { sequences, length: Math.max(...rows.map((ids) => ids.length)), pictures: taken };
}

async function storedRows(
  goldens: Goldens,
  special: SpecialTokens,
): Promise<readonly (readonly number[])[] | undefined> {
  const tensor = await goldens.tensor(file, 'text_input');
  if (tensor === undefined) return undefined;
  const [rows = 0, length = 0] = tensor.shape;
  const ids = Array.from(tensor.data, Number);
  return Array.from({ length: rows }, (_, row) =>
    ids.slice(row * length, (row + 1) * length).filter((id) => id !== special.pad),
  );
}

async function writtenRows(subject: Subject, goldens: Goldens): Promise<readonly (readonly number[])[]> {
  const document = await goldens.json('training.json');
  return list(document?.['sequences']).map((sequence) => {
    const prompt = text(sequence).replace(/\[IMG\]<image>\*\d+\[\/IMG\]/g, imagePlaceholder(subject));
    return [...templateIds(subject, prompt), subject.tokenizer.specialTokens.eos];
  });
}

function pictureCount(ids: readonly number[], special: SpecialTokens): number {
  return ids.filter((id, place) => id === special.imageStart && ids[place + 1] === special.imageSlot).length;
}

/** The stored pixels, or the manifest's pictures in order and then the first ones mirrored. */
async function picturesOf(
  subject: Subject,
  goldens: Goldens,
  rows: readonly (readonly number[])[],
): Promise<readonly Float32Array[]> {
  const count = rows.reduce((sum, ids) => sum + pictureCount(ids, subject.tokenizer.specialTokens), 0);
  const stored = await goldens.tensor(file, 'image');
  if (stored?.data instanceof Float32Array) {
    const all = stored.data;
    const size = all.length / (stored.shape[0] ?? 1);
    return Array.from({ length: count }, (_, index) => all.subarray(index * size, (index + 1) * size));
  }
  const available = goldens.images.length;
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const pixels = await pixelsOf(subject, goldens, index % available);
      return index < available ? pixels : mirrored(pixels, subject.config.visual.imageSize);
    }),
  );
}

/** [3,S,S] with every row turned round. */
function mirrored(pixels: Float32Array, side: number): Float32Array {
  const turned = new Float32Array(pixels.length);
  for (let row = 0; row < pixels.length / side; row++) {
    turned.set(
      pixels
        .subarray(row * side, (row + 1) * side)
        .slice()
        .reverse(),
      row * side,
    );
  }
  return turned;
}
