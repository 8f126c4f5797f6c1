import { create } from '@bufbuild/protobuf';
import { EmuError } from '@emu/program';
import {
  DataType,
  ImageFormat,
  ImageOptionsSchema,
  MessageSchema,
  PartSchema,
  Role,
  SafetyMode,
  SamplingOptionsSchema,
  TensorSchema,
  VisualEmbeddingSchema,
  type ImageOptions,
  type Message,
  type Part,
  type SamplingOptions,
  type Tensor,
  type VisualEmbedding,
} from '@emu/proto';

import type { ChatMessage } from '../generate/chat-format.js';
import type { PictureOptions, TextOptions } from '../generate/options.js';
import { checkedPrompt } from '../generate/prompt.js';
import { encodePng } from '../image/encode-node.js';
import { readMediaBytes } from '../image/read-media-node.js';
import type { EmbeddingMedia, ImageMedia, MediaSource, PromptItem } from '../image/media.js';

/** Bytes of one file that fit into a request; larger ones need an upload. */
const mostInlineBytes = 15 * 2 ** 20;

/** The pieces of a prompt; files are read now. @throws EmuError of `checkedPrompt` and of reading. */
export async function wireParts(
  prompt: PromptItem | readonly PromptItem[],
  place: string,
): Promise<readonly Part[]> {
  return Promise.all(checkedPrompt(prompt, place).map(wirePart));
}

async function wirePart(item: PromptItem): Promise<Part> {
  if (typeof item === 'string') return create(PartSchema, { data: { case: 'text', value: item } });
  switch (item.kind) {
    case 'image':
      return create(PartSchema, {
        data: { case: 'image', value: { source: { case: 'data', value: await imageBytes(item) } } },
      });
    case 'video': {
      const data = await fileBytes(item.source, 'INVALID_VIDEO');
      const value = { source: { case: 'data' as const, value: data }, frameCount: item.frameCount };
      return create(PartSchema, { data: { case: 'video', value } });
    }
    case 'embedding':
      return create(PartSchema, { data: { case: 'visualEmbedding', value: wireEmbedding(item) } });
  }
}

/** The file of a picture; pixels travel as PNG, which loses nothing. */
export async function imageBytes({ source }: ImageMedia): Promise<Uint8Array> {
  return source.kind === 'pixels' ? encodePng(source.pixels) : fileBytes(source, 'INVALID_IMAGE');
}

function fileBytes(source: MediaSource, invalid: 'INVALID_IMAGE' | 'INVALID_VIDEO'): Promise<Uint8Array> {
  return readMediaBytes(source, { maxBytes: mostInlineBytes, tooLarge: 'MESSAGE_TOO_LARGE', invalid });
}

/** Messages of a conversation. @throws EmuError INVALID_PROMPT. */
export function wireMessages(messages: readonly ChatMessage[]): Promise<readonly Message[]> {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new EmuError('INVALID_PROMPT', '[chat] there must be at least one message');
  }
  const list: readonly ChatMessage[] = messages; // after isArray they are `any`
  return Promise.all(
    list.map(async ({ role, content }, index) => {
      const parts = await wireParts(content, `chat message ${index}`);
      return create(MessageSchema, { role: roles[role], parts: [...parts] });
    }),
  );
}

const roles: Readonly<Record<ChatMessage['role'], Role>> = {
  system: Role.SYSTEM,
  user: Role.USER,
  assistant: Role.ASSISTANT,
};

export function wireEmbedding({ embeddings, space }: EmbeddingMedia): VisualEmbedding {
  const values = floatsToWire(embeddings.data, embeddings.shape);
  return create(VisualEmbeddingSchema, { values, space: space ?? '' });
}

/** f32 of any shape; a copy, in the byte order of the wire. */
export function floatsToWire(data: Float32Array, shape: readonly number[]): Tensor {
  const view = new DataView(new ArrayBuffer(4 * data.length));
  for (const [index, value] of data.entries()) view.setFloat32(4 * index, value, true);
  return create(TensorSchema, {
    dataType: DataType.F32,
    shape: [...shape],
    data: new Uint8Array(view.buffer),
  });
}

/** What a caller set; the rest is the model's. */
export function samplingToWire(options: TextOptions): SamplingOptions {
  const { stopSequences, choices, ...rest } = options;
  const { temperature, topP, topK, repetitionPenalty, numBeams, lengthPenalty, maxNewTokens } = rest;
  const { minNewTokens, noRepeatNgramSize, penaltyAlpha } = rest;
  return create(SamplingOptionsSchema, {
    ...definedOnly({ temperature, topP, topK, repetitionPenalty, numBeams, lengthPenalty, maxNewTokens }),
    ...definedOnly({ minNewTokens, noRepeatNgramSize, penaltyAlpha }),
    stopSequences: [...(stopSequences ?? [])],
    choices: [...(choices ?? [])],
  });
}

/** The final picture travels without an encoding, so that it is exactly what a local model gives. */
export function pictureToWire(options: PictureOptions): ImageOptions {
  const { width, height, steps, guidanceScale, scheduler, negativePrompt, previewEvery, latents } = options;
  return create(ImageOptionsSchema, {
    ...definedOnly({ width, height, steps, guidanceScale, scheduler, negativePrompt }),
    ...(previewEvery !== undefined && { previewInterval: previewEvery }),
    ...(latents !== undefined && { latents: floatsToWire(latents, latentShape(latents, options)) }),
    format: ImageFormat.RGB,
    safety: safetyModes[options.safetyChecker ?? 'default'],
  });
}

const safetyModes = {
  default: SafetyMode.UNSPECIFIED,
  black: SafetyMode.BLACK,
  report: SafetyMode.REPORT,
  off: SafetyMode.OFF,
} as const;

function latentShape(latents: Float32Array, { width, height }: PictureOptions): readonly number[] {
  const channels = 4;
  if (width !== undefined && height !== undefined) {
    const scale = Math.sqrt((channels * width * height) / latents.length);
    return [1, channels, height / scale, width / scale];
  }
  const side = Math.sqrt(latents.length / channels); // the server says when this is no picture of its model
  return [1, channels, Math.floor(side), Math.floor(side)];
}

function definedOnly<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
