import { EmuError, floatTensor, type FloatTensor } from '@emu/program';
import {
  DataType,
  FinishReason as WireReason,
  type GenerationFinished,
  type ImageChunk,
  type ImageHeader,
  type Tensor,
  type VisualEmbeddingChunk,
} from '@emu/proto';

import type {
  FinishReason,
  GeneratedImage,
  GenerationEvent,
  GenerationResult,
  Usage,
} from '../generate/events.js';
import { decodeImage } from '../image/decode-node.js';
import type { GenerationPart } from './generation-part.js';

const reasons: Readonly<Record<WireReason, FinishReason>> = {
  [WireReason.UNSPECIFIED]: 'stop',
  [WireReason.STOP]: 'stop',
  [WireReason.LENGTH]: 'length',
  [WireReason.STOP_SEQUENCE]: 'stop-sequence',
  [WireReason.CANCELLED]: 'aborted',
};

interface Picture {
  header: ImageHeader | undefined;
  readonly chunks: Uint8Array[];
  readonly rows: Float32Array[];
}

/** Largest picture that is put together: 8-bit RGB of the largest that can be asked for, 4096 by 4096. */
const mostPictureBytes = 3 * 4096 ** 2;

/**
 * Puts together what a server sends of a generation: the events of the local model, and its result. Everything that
 * comes from the wire is checked, since a server may be another version or none of ours.
 */
export class Received {
  readonly #content: (string | GeneratedImage)[] = [];
  #tokens: number[] = [];
  readonly #pictures = new Map<number, Picture>();
  #seed: number | bigint = 0;
  #score: number | undefined;
  #usage: Usage = {
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    promptImages: 0,
    images: 0,
    denoisingSteps: 0,
  };
  #reason: FinishReason | undefined;

  /** `tellsTokens`: token events were asked for. `embeddings`: of a picture that is drawn from given ones. */
  constructor(
    readonly tellsTokens: boolean,
    readonly embeddings: FloatTensor | undefined,
  ) {}

  /** Whether the server has said that the output is complete. */
  get isFinished(): boolean {
    return this.#reason !== undefined;
  }

  /** The events that a part of the stream makes; often one, sometimes none. A preview has to be decoded first. */
  take(part: GenerationPart): readonly GenerationEvent[] | Promise<readonly GenerationEvent[]> {
    switch (part.case) {
      case 'queued':
        return [{ type: 'queued', position: part.value.position }];
      case 'started': {
        this.#seed = smallest(part.value.seed);
        return [{ type: 'started', model: part.value.model, seed: this.#seed }];
      }
      case 'text':
        return this.#text(part.value.text);
      case 'tokens': {
        this.#tokens.push(...part.value.tokens.map(({ id }) => id)); // all there is of a stream that is cut
        if (!this.tellsTokens) return [];
        return part.value.tokens.map(({ id, logprob, alternatives }) => ({
          type: 'token',
          id,
          ...(logprob !== undefined && { logprob }),
          alternatives: alternatives.map((other) => ({ id: other.id, logprob: other.logprob })),
        }));
      }
      case 'visualEmbedding':
        return this.#rows(part.value);
      case 'imageProgress': {
        const { imageIndex, step, totalSteps, previewJpeg } = part.value;
        const progress = { type: 'image-progress', imageIndex, step, totalSteps } as const;
        if (previewJpeg.length === 0) return [progress];
        return decodeImage(previewJpeg).then((preview) => [{ ...progress, preview }]);
      }
      case 'image':
        return this.#chunk(part.value);
      case 'finished':
        this.#finish(part.value);
        return [];
      case undefined:
        return []; // an event of a newer server
    }
  }

  result(reason = this.#reason ?? 'aborted'): GenerationResult {
    return {
      text: this.#content.filter((part) => typeof part === 'string').join(''),
      images: this.#content.filter((part) => typeof part !== 'string'),
      content: [...this.#content],
      tokens: [...this.#tokens],
      usage: this.#usage,
      finishReason: reason,
      seed: this.#seed,
      ...(this.#score !== undefined && { score: this.#score }),
    };
  }

  #text(text: string): readonly GenerationEvent[] {
    const last = this.#content.at(-1);
    if (typeof last === 'string') this.#content[this.#content.length - 1] = last + text;
    else this.#content.push(text);
    return [{ type: 'text', text }];
  }

  #rows({ imageIndex, rowOffset, embedding }: VisualEmbeddingChunk): readonly GenerationEvent[] {
    const values = floatsOf(embedding?.values);
    const [count = 0, width = 0] = values.shape;
    const picture = this.#picture(imageIndex);
    return Array.from({ length: count }, (_, row): GenerationEvent => {
      const own = values.data.slice(row * width, (row + 1) * width);
      picture.rows[rowOffset + row] = own;
      return { type: 'visual-embedding', imageIndex, index: rowOffset + row, embedding: own };
    });
  }

  #chunk({ imageIndex, header, data, last }: ImageChunk): readonly GenerationEvent[] {
    const picture = this.#picture(imageIndex);
    picture.header ??= header;
    picture.chunks.push(data);
    const length = picture.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (length > mostPictureBytes)
      throw malformed(`picture ${imageIndex} has more than ${mostPictureBytes} bytes`);
    if (!last) return [];
    const image = this.#image(imageIndex, picture, length);
    this.#content.push(image);
    this.#pictures.delete(imageIndex);
    return [{ type: 'image', imageIndex, image }];
  }

  #image(index: number, { header, chunks, rows }: Picture, length: number): GeneratedImage {
    if (header === undefined || length !== 3 * header.width * header.height) {
      throw malformed(
        `picture ${index} has ${length} bytes, not those of its ${header?.width}x${header?.height}`,
      );
    }
    const data = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      data.set(chunk, at);
      at += chunk.length;
    }
    const { width, height, flagged, checked } = header;
    const embeddings = rows.length === 0 ? (this.embeddings ?? noEmbeddings) : stacked(rows);
    return { width, height, data, flagged, checked, seed: this.#seed, embeddings };
  }

  #picture(index: number): Picture {
    const known = this.#pictures.get(index);
    if (known !== undefined) return known;
    const picture = { header: undefined, chunks: [], rows: [] };
    this.#pictures.set(index, picture);
    return picture;
  }

  #finish({ reason, usage, score, tokenIds }: GenerationFinished): void {
    this.#reason = reasons[reason];
    if (tokenIds.length > 0) this.#tokens = tokenIds; // none from a server older than the field
    this.#score = score;
    this.#usage = {
      promptTokens: usage?.inputTokenCount ?? 0,
      cachedTokens: usage?.cachedTokenCount ?? 0,
      completionTokens: usage?.outputTokenCount ?? 0,
      promptImages: usage?.inputImageCount ?? 0,
      images: usage?.outputImageCount ?? 0,
      denoisingSteps: usage?.denoisingStepCount ?? 0,
    };
  }
}

const noEmbeddings = floatTensor([0, 0], new Float32Array());

function stacked(rows: readonly Float32Array[]): FloatTensor {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  for (const [index, row] of rows.entries()) data.set(row, index * width);
  return floatTensor([rows.length, width], data);
}

/** f32 of any shape from the wire. @throws EmuError INTERNAL when data and shape do not fit. */
export function floatsOf(tensor: Tensor | undefined): FloatTensor {
  const { dataType, shape = [], data = new Uint8Array() } = tensor ?? {};
  const count = shape.reduce((product, side) => product * side, 1);
  if (dataType !== DataType.F32 || data.length !== 4 * count) {
    throw malformed(`a tensor [${shape.join(',')}] of type ${dataType} has ${data.length} bytes`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const values = Float32Array.from({ length: count }, (_, index) => view.getFloat32(4 * index, true));
  return floatTensor(shape, values);
}

/** A seed as the local model gives it: a number where one holds it exactly. */
function smallest(seed: bigint): number | bigint {
  return seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : seed;
}

export function malformed(what: string): EmuError {
  return new EmuError('INTERNAL', `[remote] the server's answer does not fit together: ${what}`, {
    hint: 'Use the same version of the SDK on both sides.',
  });
}
