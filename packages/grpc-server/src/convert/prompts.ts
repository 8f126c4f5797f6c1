import { EmuError, floatTensor } from '@emu/program';
import { Role, type EmbeddingBlend, type Message, type Part, type VisualEmbedding } from '@emu/proto';
import { embedding, type ChatMessage, type EmbeddingMedia, type PromptItem } from '@emu/sdk';

import type { Limits } from '../limits.js';
import type { ServedModel } from '../served-model.js';
import { atField, badField, checkCount } from './fields.js';
import type { PictureSource } from './pictures.js';
import { readTensor } from './tensors.js';

/** What the pieces of one request are read with. */
export interface PromptReading {
  readonly model: ServedModel;
  readonly pictures: PictureSource;
  readonly limits: Limits;
  /** Name of the caller, whose uploads may be named. */
  readonly owner: string;
  /** Whose turn the call waits for. */
  readonly client: string;
  readonly signal: AbortSignal;
}

const mostParts = 4096;
/** No token of a tokenizer stands for more characters than this. */
const longestToken = 64;

/** Pieces of an interleaved sequence, pictures decoded. @throws EmuError with the field of the piece. */
export async function readParts(
  parts: readonly Part[],
  field: string,
  reading: PromptReading,
): Promise<readonly PromptItem[]> {
  checkCount(field, parts.length, mostParts);
  if (parts.length === 0) {
    throw badField(field, 'is empty', { code: 'INVALID_PROMPT', hint: 'Send at least one text or picture.' });
  }
  checkAmount(parts, field, reading);
  const items: PromptItem[] = [];
  // One after the other: pictures of one request do not take the decoder from everybody else's.
  for (const [index, part] of parts.entries())
    items.push(await readPart(part, `${field}[${index}]`, reading));
  if (items.every((item) => item === '')) {
    throw badField(field, 'has no content', {
      code: 'INVALID_PROMPT',
      hint: 'Send at least one text or picture.',
    });
  }
  return items;
}

/** Turns of a conversation. @throws EmuError with the field of the piece. */
export async function readMessages(
  messages: readonly Message[],
  field: string,
  reading: PromptReading,
): Promise<readonly ChatMessage[]> {
  checkCount(field, messages.length, mostParts);
  checkAmount(
    messages.flatMap(({ parts }) => parts),
    field,
    reading,
  );
  const read: ChatMessage[] = [];
  for (const [index, { role, parts }] of messages.entries()) {
    const place = `${field}[${index}]`;
    const content = await readParts(parts, `${place}.parts`, reading);
    read.push({ role: roleOf(role, `${place}.role`), content });
  }
  return read;
}

/** One medium, no text. @throws EmuError INVALID_PROMPT for text. */
export async function readMedium(
  part: Part | undefined,
  field: string,
  reading: PromptReading,
): Promise<Exclude<PromptItem, string>> {
  const [item] = part === undefined ? [] : await readParts([part], field, reading);
  if (item !== undefined && typeof item !== 'string') return item;
  throw badField(field, 'must be a picture, a video or visual embeddings', { code: 'INVALID_PROMPT' });
}

/** Visual embeddings of one picture. @throws EmuError TENSOR_SHAPE_MISMATCH, EMBEDDING_SPACE_MISMATCH, NON_FINITE. */
export function readEmbedding(
  { values, space }: VisualEmbedding,
  field: string,
  { emu }: ServedModel,
): EmbeddingMedia {
  const { queries } = emu.model.config.causalTransformer;
  const { width } = emu.model.config.llama;
  const ours = emu.model.files.space;
  if (space !== '' && space !== ours) {
    throw badField(`${field}.space`, `is "${space.slice(0, 80)}", this model's is "${ours}"`, {
      code: 'EMBEDDING_SPACE_MISMATCH',
      hint: 'Encode the picture with this model.',
      details: { space, needed: ours },
    });
  }
  const tensor = readTensor(values, `${field}.values`);
  if (tensor.shape.length !== 2 || tensor.shape[0] !== queries || tensor.shape[1] !== width) {
    const shape = tensor.shape.join(',');
    throw badField(
      `${field}.values.shape`,
      `is [${shape}], this model's pictures are [${queries},${width}]`,
      {
        code: 'TENSOR_SHAPE_MISMATCH',
        hint: 'Model.visual_token_count and Model.embedding_width tell the shape.',
        details: { shape, needed: `${queries},${width}` },
      },
    );
  }
  return embedding(tensor, { space: ours });
}

/** The weighted mean of embeddings, sums in double precision. @throws EmuError INVALID_OPTION for weights without a sum. */
export function readBlend({ parts }: EmbeddingBlend, field: string, model: ServedModel): EmbeddingMedia {
  checkCount(`${field}.parts`, parts.length, 64);
  const weights = parts.map(({ weight = 1 }) => weight);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (parts.length === 0 || !Number.isFinite(sum) || sum === 0) {
    throw badField(`${field}.parts`, `weights ${weights.slice(0, 8).join(', ') || '(none)'} have no mean`, {
      hint: 'Give at least one part, and finite weights whose sum is not 0.',
    });
  }
  const read = parts.map((part, index) => {
    const place = `${field}.parts[${index}].embedding`;
    if (part.embedding === undefined) throw badField(place, 'is missing', { code: 'TENSOR_SHAPE_MISMATCH' });
    return readEmbedding(part.embedding, place, model).embeddings;
  });
  const [first] = read;
  if (first === undefined) throw new EmuError('INTERNAL', '[blend] no part was read');
  const mean = first.data.map((_, at) =>
    read.reduce((total, { data }, index) => total + ((weights[index] ?? 0) / sum) * (data[at] ?? 0), 0),
  );
  return embedding(floatTensor(first.shape, mean), { space: model.emu.model.files.space });
}

/** @throws EmuError CONTEXT_LENGTH_EXCEEDED for a prompt beyond the server's limit, before the model sees it. */
export function checkLength(items: readonly PromptItem[], field: string, reading: PromptReading): void {
  const { emu } = reading.model;
  const most = mostPositions(reading);
  if (bytesAndRows(items, emu.model.config.causalTransformer.queries) <= most) return; // most prompts: no need to encode twice
  const count = emu.countTokens(items);
  if (count > most) throw tooLong(field, `${count} positions`, most);
}

/** No fewer than a prompt's positions: every token but <s> and a text's first space stands for a byte or more. */
function bytesAndRows(items: readonly PromptItem[], rowsPerImage: number): number {
  const sizes = items.map((item) => {
    if (typeof item === 'string') return Buffer.byteLength(item) + 1;
    return (item.kind === 'video' ? item.frameCount : 1) * (rowsPerImage + 2);
  });
  return sizes.reduce((sum, size) => sum + size, 1);
}

async function readPart(part: Part, field: string, reading: PromptReading): Promise<PromptItem> {
  const { data } = part;
  const { pictures, model, owner, signal } = reading;
  switch (data.case) {
    case 'text':
      return data.value;
    case 'image':
      return pictures.image(
        data.value,
        model.emu.model.config.visual.imageSize,
        owner,
        `${field}.image`,
        signal,
      );
    case 'video':
      return pictures.video(data.value, owner, `${field}.video`);
    case 'visualEmbedding':
      try {
        return readEmbedding(data.value, `${field}.visual_embedding`, model);
      } catch (error) {
        throw atField(`${field}.visual_embedding`, error);
      }
    case undefined:
      throw badField(field, 'holds none of text, image, video and visual_embedding', {
        code: 'INVALID_PROMPT',
      });
  }
}

/** Counts before anything is decoded or tokenized: both cost time that a refused request must not have. */
function checkAmount(parts: readonly Part[], field: string, reading: PromptReading): void {
  const { maxImages } = reading.limits;
  let images = 0;
  let characters = 0;
  for (const { data } of parts) {
    if (data.case === 'text') characters += data.value.length;
    else if (data.case === 'video') images += data.value.frameCount ?? 8;
    else images += 1;
  }
  checkCount(`${field} (pictures and frames)`, images, maxImages);
  const most = mostPositions(reading);
  const { queries } = reading.model.emu.model.config.causalTransformer;
  const visual = images * (queries + 2);
  if (visual > most) throw tooLong(field, `${images} pictures of ${queries + 2} positions`, most);
  if (characters > most * longestToken) throw tooLong(field, `${characters} characters of text`, most);
}

function mostPositions({ limits, model }: PromptReading): number {
  const { contextLength } = model.emu.model;
  return limits.maxInputTokens === 0 ? contextLength : Math.min(limits.maxInputTokens, contextLength);
}

function tooLong(field: string, what: string, most: number): EmuError {
  return badField(field, `${what} are more than the ${most} that a prompt may have`, {
    code: 'CONTEXT_LENGTH_EXCEEDED',
    hint: 'Shorten the text or use fewer pictures.',
    details: { most },
  });
}

function roleOf(role: Role, field: string): ChatMessage['role'] {
  switch (role) {
    case Role.SYSTEM:
      return 'system';
    case Role.USER:
      return 'user';
    case Role.ASSISTANT:
      return 'assistant';
    default:
      throw badField(field, `must be ROLE_SYSTEM, ROLE_USER or ROLE_ASSISTANT, got ${role}`, {
        code: 'INVALID_PROMPT',
      });
  }
}
