import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  FinishReason,
  GenerationFinishedSchema,
  GenerationStartedSchema,
  ImageChunkSchema,
  ImageFormat,
  ImageHeaderSchema,
  ImageProgressSchema,
  QueueUpdateSchema,
  TextDeltaSchema,
  TokenChunkSchema,
  TokenSchema,
  UsageSchema,
  VisualEmbeddingChunkSchema,
  VisualEmbeddingSchema,
  type DataType,
} from '@emu/proto';
import {
  encodeJpeg,
  encodePng,
  type FinishReason as LocalReason,
  type GeneratedImage,
  type GenerationEvent,
  type GenerationResult,
  type Pixels,
  type Usage as LocalUsage,
} from '@emu/sdk';

import type { JobEvent } from '../generation/job-event.js';
import type { ServedModel } from '../served-model.js';
import { writeTensor } from './tensors.js';

/** Which events a caller asked for, and how pictures are encoded. */
export interface EventOptions {
  readonly generationId: string;
  readonly model: ServedModel;
  readonly format: ImageFormat;
  readonly tokens: boolean;
  readonly logprobs: boolean;
  readonly visualEmbeddings: boolean;
  readonly visualEmbeddingType: DataType;
}

/** Milliseconds since a call's arrival. */
export interface Times {
  readonly started: number;
  readonly firstOutput: number;
  readonly total: number;
}

// A picture of a megabyte is a dozen messages, between which other streams of the connection get their turn.
const chunkBytes = 128 * 1024;
const previewQuality = 80;

type LocalEvent<T extends GenerationEvent['type']> = Extract<GenerationEvent, { readonly type: T }>;

export function textEvent(text: string): JobEvent {
  return { case: 'text', value: create(TextDeltaSchema, { text }) };
}

/** An event of the SDK as those of the wire; none for one that was not asked for. `finish` is told by `finishedEvent`. */
export async function wireEvents(
  event: GenerationEvent,
  options: EventOptions,
): Promise<readonly JobEvent[]> {
  switch (event.type) {
    case 'queued':
      return [{ case: 'queued', value: create(QueueUpdateSchema, { position: event.position }) }];
    case 'started':
      return [startedEvent(event, options)];
    case 'text':
      return [textEvent(event.text)];
    case 'token':
      return options.tokens ? [tokenEvent(event, options.logprobs)] : [];
    case 'visual-embedding':
      return options.visualEmbeddings ? [embeddingEvent(event, options)] : [];
    case 'image-progress':
      return [await progressEvent(event)];
    case 'image':
      return imageEvents(event.image, event.imageIndex, options.format);
    case 'finish':
      return [];
  }
}

/** The last event. score: of beam search. */
export function finishedEvent(
  {
    finishReason,
    usage,
    score,
    tokens,
  }: Pick<GenerationResult, 'finishReason' | 'usage' | 'score' | 'tokens'>,
  times: Times,
): JobEvent {
  const value = create(GenerationFinishedSchema, {
    reason: reasons[finishReason],
    usage: usageOf(usage, times),
    tokenIds: [...tokens],
    ...(score === undefined ? {} : { score }),
  });
  return { case: 'finished', value };
}

const reasons: Readonly<Record<LocalReason, FinishReason>> = {
  stop: FinishReason.STOP,
  length: FinishReason.LENGTH,
  'stop-sequence': FinishReason.STOP_SEQUENCE,
  aborted: FinishReason.CANCELLED,
};

function usageOf(
  usage: LocalUsage,
  { started, firstOutput, total }: Times,
): ReturnType<typeof create<typeof UsageSchema>> {
  return create(UsageSchema, {
    inputTokenCount: usage.promptTokens,
    cachedTokenCount: usage.cachedTokens,
    outputTokenCount: usage.completionTokens,
    inputImageCount: Math.ceil(usage.promptImages),
    outputImageCount: usage.images,
    denoisingStepCount: usage.denoisingSteps,
    queueTime: durationFromMs(Math.round(started)),
    firstOutputTime: durationFromMs(Math.round(firstOutput)),
    totalTime: durationFromMs(Math.round(total)),
  });
}

function startedEvent({ seed }: LocalEvent<'started'>, { generationId, model }: EventOptions): JobEvent {
  const value = create(GenerationStartedSchema, {
    generationId,
    model: model.name,
    revision: model.revision,
    seed: BigInt(seed),
  });
  return { case: 'started', value };
}

function tokenEvent({ id, logprob, alternatives }: LocalEvent<'token'>, logprobs: boolean): JobEvent {
  const token = create(TokenSchema, {
    id,
    ...(logprobs && logprob !== undefined ? { logprob } : {}),
    alternatives: alternatives.map((each) => ({ ...each })),
  });
  return { case: 'tokens', value: create(TokenChunkSchema, { tokens: [token] }) };
}

function embeddingEvent(
  event: LocalEvent<'visual-embedding'>,
  { model, visualEmbeddingType }: EventOptions,
): JobEvent {
  const { imageIndex, index, embedding } = event;
  const values = writeTensor(embedding, [1, embedding.length], visualEmbeddingType);
  const value = create(VisualEmbeddingChunkSchema, {
    imageIndex,
    rowOffset: index,
    embedding: create(VisualEmbeddingSchema, { values, space: model.emu.model.files.space }),
  });
  return { case: 'visualEmbedding', value };
}

async function progressEvent({
  imageIndex,
  step,
  totalSteps,
  preview,
}: LocalEvent<'image-progress'>): Promise<JobEvent> {
  const previewJpeg =
    preview === undefined ? new Uint8Array() : plain(await encodeJpeg(preview, { quality: previewQuality }));
  return {
    case: 'imageProgress',
    value: create(ImageProgressSchema, { imageIndex, step, totalSteps, previewJpeg }),
  };
}

async function imageEvents(
  image: GeneratedImage,
  imageIndex: number,
  format: ImageFormat,
): Promise<readonly JobEvent[]> {
  const { bytes, mimeType } = await encoded(image, format);
  const { width, height, flagged, checked } = image;
  const header = create(ImageHeaderSchema, {
    mimeType,
    width,
    height,
    sizeBytes: BigInt(bytes.length),
    flagged,
    checked,
  });
  const events: JobEvent[] = [];
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    const value = create(ImageChunkSchema, {
      imageIndex,
      ...(start === 0 ? { header } : {}),
      data: plain(bytes.subarray(start, start + chunkBytes)),
      last: start + chunkBytes >= bytes.length,
    });
    events.push({ case: 'image', value });
  }
  return events;
}

async function encoded(
  image: Pixels,
  format: ImageFormat,
): Promise<{ readonly bytes: Uint8Array; readonly mimeType: string }> {
  if (format === ImageFormat.RGB) return { bytes: image.data, mimeType: 'application/octet-stream' };
  if (format === ImageFormat.JPEG) return { bytes: await encodeJpeg(image), mimeType: 'image/jpeg' };
  return { bytes: await encodePng(image), mimeType: 'image/png' };
}

/** The same bytes as the type of message fields; no bytes of ours are shared memory. */
function plain(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : Uint8Array.from(bytes);
}
