import { EmuError } from '@emu/program';

import type { EmbeddingMedia, ImageMedia, PromptItem, VideoMedia } from '../image/media.js';
import type { Pixels } from '../image/pixels.js';
import type { EmuTokenizer, PromptPart, SpecialTokenName } from '../tokenizer/index.js';
import type { Element } from './step.js';

/** The visual embeddings of one picture: N rows of f32[D]. */
export type VisualRows = readonly Float32Array[];

/** A part of a prompt whose media have been encoded. */
export type PromptPiece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'special'; readonly name: SpecialTokenName }
  | { readonly kind: 'image'; readonly rows: VisualRows };

/** Reads media; Node's reads files and runs ffmpeg, a browser's what it is given. */
export interface MediaReader {
  readImage(media: ImageMedia, signal: AbortSignal | undefined): Promise<Pixels>;
  readFrames(media: VideoMedia, signal: AbortSignal | undefined): Promise<readonly Pixels[]>;
}

/** What turning media into embeddings needs of a model. */
export interface MediaEncoder {
  readonly reader: MediaReader;
  /** Id of the model's embedding space. */
  readonly space: string;
  /** N and D: rows per picture and their width. */
  readonly rowsPerImage: number;
  readonly width: number;
  encode(pictures: readonly Pixels[], signal: AbortSignal | undefined): Promise<readonly VisualRows[]>;
}

/**
 * Checks a prompt from a caller. A single string or medium counts as a list of one.
 * @throws EmuError INVALID_PROMPT for no list, an item that is neither text nor medium, or no content at all.
 */
export function checkedPrompt(
  prompt: PromptItem | readonly PromptItem[],
  place = 'prompt',
): readonly PromptItem[] {
  const items = Array.isArray(prompt) ? (prompt as readonly PromptItem[]) : [prompt as PromptItem];
  for (const [index, item] of items.entries()) {
    if (typeof item === 'string' || isMedia(item)) continue;
    throw new EmuError(
      'INVALID_PROMPT',
      `[${place}] item ${index} is ${shownType(item)}, not text or media`,
      {
        hint: 'Strings are text; wrap pictures and videos in image(), video() or embedding().',
        details: { index, type: shownType(item) },
      },
    );
  }
  if (items.every((item) => item === '')) {
    throw new EmuError('INVALID_PROMPT', `[${place}] the prompt is empty`, {
      hint: 'Pass at least one text or picture.',
    });
  }
  return items;
}

/** True for what image(), video() and embedding() return; a caller without types may pass anything. */
function isMedia(item: unknown): item is Exclude<PromptItem, string> {
  if (typeof item !== 'object' || item === null || !('kind' in item)) return false;
  if (item.kind === 'embedding') return 'embeddings' in item && isMatrix(item.embeddings);
  if (item.kind === 'video' && !('frameCount' in item && Number.isInteger(item.frameCount))) return false;
  if (item.kind !== 'image' && item.kind !== 'video') return false;
  return 'source' in item && isSource(item.source, item.kind);
}

function isSource(source: unknown, kind: 'image' | 'video'): boolean {
  if (typeof source !== 'object' || source === null) return false;
  const { bytes, path, url, blob, pixels } = source as Record<string, unknown>;
  switch ('kind' in source ? source.kind : undefined) {
    case 'bytes':
      return bytes instanceof Uint8Array;
    case 'blob':
      return blob instanceof Blob;
    case 'path':
      return typeof path === 'string';
    case 'file-url':
      return typeof url === 'string';
    case 'pixels':
      return kind === 'image' && isPixels(pixels);
    default:
      return false;
  }
}

function isPixels(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { width, height, data } = value as Partial<Pixels>;
  if (!Number.isInteger(width) || !Number.isInteger(height)) return false;
  return data instanceof Uint8Array && data.length === (width ?? 0) * (height ?? 0) * 3;
}

function isMatrix(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('shape' in value && 'data' in value)) return false;
  return Array.isArray(value.shape) && value.shape.length === 2 && value.data instanceof Float32Array;
}

function shownType(item: unknown): string {
  if (item === null) return 'null';
  return Array.isArray(item) ? 'a list' : typeof item;
}

/**
 * Reads and encodes the media of a prompt; all its pictures in one batch. A video is its frames, one picture each,
 * with nothing in between.
 * @throws EmuError of the readers; EMBEDDING_SPACE_MISMATCH or TENSOR_SHAPE_MISMATCH for embeddings of another model.
 */
export async function encodePrompt(
  items: readonly PromptItem[],
  encoder: MediaEncoder,
  signal?: AbortSignal,
): Promise<readonly PromptPiece[]> {
  const pictures: Pixels[] = [];
  const slots: (PromptPiece | { readonly kind: 'picture'; readonly index: number })[] = [];
  for (const item of items) {
    if (typeof item === 'string') slots.push({ kind: 'text', text: item });
    else if (item.kind === 'embedding') slots.push({ kind: 'image', rows: rowsOfEmbedding(item, encoder) });
    else
      for (const picture of await picturesOf(item, encoder.reader, signal)) {
        slots.push({ kind: 'picture', index: pictures.push(picture) - 1 });
      }
  }
  const encoded = pictures.length === 0 ? [] : await encoder.encode(pictures, signal);
  return slots.map((slot) =>
    slot.kind === 'picture' ? { kind: 'image', rows: encoded[slot.index] ?? [] } : slot,
  );
}

function picturesOf(
  media: ImageMedia | VideoMedia,
  reader: MediaReader,
  signal: AbortSignal | undefined,
): Promise<readonly Pixels[]> {
  if (media.kind === 'video') return reader.readFrames(media, signal);
  return reader.readImage(media, signal).then((picture) => [picture]);
}

/** Rows of an `embedding()`. @throws EmuError as `encodePrompt`. */
export function rowsOfEmbedding(
  { embeddings, space }: EmbeddingMedia,
  { space: ours, rowsPerImage, width }: Pick<MediaEncoder, 'space' | 'rowsPerImage' | 'width'>,
): VisualRows {
  if (space !== undefined && space !== ours) {
    throw new EmuError(
      'EMBEDDING_SPACE_MISMATCH',
      `[embedding] is from space ${space}, this model's is ${ours}`,
      {
        hint: 'Encode the picture with this model.',
        details: { space, needed: ours },
      },
    );
  }
  const [count, side] = embeddings.shape;
  if (count !== rowsPerImage || side !== width) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[embedding] is [${embeddings.shape.join(',')}], this model's pictures are [${rowsPerImage},${width}]`,
      { details: { shape: embeddings.shape, needed: [rowsPerImage, width] } },
    );
  }
  return splitRows(embeddings.data, width);
}

/** [N,D] row-major to N views of f32[D]. */
export function splitRows(data: Float32Array, width: number): VisualRows {
  return Array.from({ length: data.length / width }, (_, row) =>
    data.subarray(row * width, (row + 1) * width),
  );
}

/**
 * The elements of a prompt: <s>, then text as tokens and every picture as [IMG], its N embeddings, [/IMG]. Text stays
 * text: special tokens come from structure alone.
 */
export function promptElements(tokenizer: EmuTokenizer, pieces: readonly PromptPiece[]): readonly Element[] {
  const ids = tokenizer.encodeSegments(
    pieces.flatMap((piece): readonly PromptPart[] => {
      if (piece.kind === 'text') return [{ text: piece.text }];
      if (piece.kind === 'special') return [{ special: piece.name }];
      return [
        { special: 'imageStart' },
        { special: 'imageSlot', count: piece.rows.length },
        { special: 'imageEnd' },
      ];
    }),
  );
  const rows = pieces.flatMap((piece) => (piece.kind === 'image' ? piece.rows : []));
  let taken = 0;
  return ids.map((id) => (id === tokenizer.specialTokens.imageSlot ? (rows[taken++] ?? id) : id));
}
