import { rollOutImage, Sequence } from '@emu/sdk/generate';

import { list, record, text, type Goldens, type JsonRecord } from '../goldens.js';
import { embeddingsOf, imagePlaceholder, templateIds, withImageRows } from '../prompts.js';
import type { Stage } from '../stage.js';
import type { Subject } from '../subject.js';

const file = 'generate_image.safetensors';
const placeholder = '[<IMG_PLH>]';

interface ImageCase {
  readonly texts: readonly string[];
  readonly images: readonly number[];
}

/** Visual embeddings regressed one by one, with and without pictures in the prompt. */
export const generateImageStage: Stage = {
  name: 'generate_image',
  async run({ goldens, subjects, recorder }) {
    const subject = await subjects.base();
    const document = await goldens.json('generation.json');
    const { queries } = subject.config.causalTransformer;
    const { width } = subject.config.llama;
    for (const name of Object.keys(record(document?.['generate_image'] ?? {}))) {
      const { texts } = imageCase(document, name);
      const embeddings = await rollOutTexts(subject, goldens, document, name);
      // Errors grow along the feedback: every embedding is the input of the next.
      await recorder.floats(file, `${name}.embeddings`, [texts.length, queries, width], embeddings);
      for (const [prefix, made] of [
        ['', queries - 1],
        ['step0.', 0],
      ] as const) {
        if (goldens.entry(file, `${name}.${prefix}input_ids`) === undefined) continue;
        const ids = texts.map((prompt) => idsAtStep(subject, prompt, made));
        await recordPadded(recorder, `${name}.${prefix}`, ids, subject.tokenizer.specialTokens.pad);
      }
    }
  },
};

type RecorderOf = Parameters<Stage['run']>[0]['recorder'];

async function recordPadded(
  recorder: RecorderOf,
  prefix: string,
  rows: readonly (readonly number[])[],
  pad: number,
): Promise<void> {
  const length = Math.max(...rows.map((row) => row.length));
  const shape = [rows.length, length];
  const padded = rows.flatMap((row) => [...row, ...new Array<number>(length - row.length).fill(pad)]);
  const mask = rows.flatMap((row) => Array.from({ length }, (_, at) => (at < row.length ? 1 : 0)));
  await recorder.integers(file, `${prefix}input_ids`, shape, padded);
  await recorder.integers(file, `${prefix}attention_mask`, shape, mask);
}

function imageCase(document: JsonRecord | undefined, name: string): ImageCase {
  const found = record(record(document?.['generate_image'])[name]);
  const images = found['images'];
  return {
    texts: list(found['text']).map(text),
    images: images === null || images === undefined ? [] : list(images).map(Number),
  };
}

/** The prompt with pictures written out, as the authors' code does, and [IMG] behind it. */
function promptText(subject: Subject, prompt: string): string {
  return `${prompt.replaceAll(placeholder, imagePlaceholder(subject))}[IMG]`;
}

/** Token ids when `made` embeddings have been made: the authors tokenise the growing text again at every step. */
function idsAtStep(subject: Subject, prompt: string, made: number): readonly number[] {
  return templateIds(subject, promptText(subject, prompt) + '<image>'.repeat(made));
}

/** Rolls out every text of a case -> f32[texts, N, D]. Pictures go to the texts in order, as they name them. */
export async function rollOutTexts(
  subject: Subject,
  goldens: Goldens,
  document: JsonRecord | undefined,
  name: string,
): Promise<Float32Array> {
  const { texts, images } = imageCase(document, name);
  const { queries } = subject.config.causalTransformer;
  const rows = await embeddingsOf(subject, goldens, images);
  let taken = 0;
  const parts: Float32Array[] = [];
  for (const prompt of texts) {
    const ids = templateIds(subject, promptText(subject, prompt));
    const needed = (prompt.split(placeholder).length - 1) * queries;
    const elements = withImageRows(subject, ids.slice(0, -1), rows.slice(taken, taken + needed));
    taken += needed;
    const sequence = Sequence.open(subject.decoder);
    try {
      await sequence.extend(elements, []);
      parts.push(await rollOutImage(sequence, [subject.tokenizer.specialTokens.imageStart], queries, {}));
    } finally {
      sequence.close();
    }
  }
  return concatenate(parts);
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
