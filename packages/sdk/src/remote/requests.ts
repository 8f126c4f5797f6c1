import { create } from '@bufbuild/protobuf';
import { DurationSchema, type Duration } from '@bufbuild/protobuf/wkt';
import {
  CaptionInputSchema,
  ConversationSchema,
  ImageSchema,
  OutputModality,
  PromptSchema,
  QuestionInputSchema,
  ResumeCursorSchema,
  ScoreOrder,
  type GenerateRequest,
  type GetServerInfoResponse,
  type Image,
  type ResumeCursor,
} from '@emu/proto';

import type { ScoreOptions } from '../emu-options.js';
import type { ChatMessage } from '../generate/chat-format.js';
import type { GenerateOptions } from '../generate/options.js';
import type { EmbeddingMedia, ImageMedia, PromptItem, VideoMedia } from '../image/media.js';
import { imageBytes, wireMessages, wireParts } from './to-wire.js';

/** What a generation continues. */
export type Input = GenerateRequest['input'];

export async function promptInput(prompt: PromptItem | readonly PromptItem[], place: string): Promise<Input> {
  const parts = [...(await wireParts(prompt, place))];
  return { case: 'prompt', value: create(PromptSchema, { parts }) };
}

export async function chatInput(messages: readonly ChatMessage[]): Promise<Input> {
  const value = create(ConversationSchema, { messages: [...(await wireMessages(messages))] });
  return { case: 'conversation', value };
}

export async function captionInput(
  picture: ImageMedia | VideoMedia | EmbeddingMedia,
  lead: string,
): Promise<Input> {
  const [media] = await wireParts([picture], 'caption');
  return { case: 'caption', value: create(CaptionInputSchema, { lead, ...(media && { media }) }) };
}

export async function questionInput(
  media: PromptItem | readonly PromptItem[],
  question: string,
): Promise<Input> {
  const context = [...(await wireParts(media, 'ask'))];
  return { case: 'question', value: create(QuestionInputSchema, { context, question }) };
}

export async function wireImage(picture: ImageMedia): Promise<Image> {
  return create(ImageSchema, { source: { case: 'data', value: await imageBytes(picture) } });
}

export function resumeCursor(generationId: string, afterSequence: bigint): ResumeCursor {
  return create(ResumeCursorSchema, { generationId, afterSequence });
}

export function duration(milliseconds: number): Duration {
  const seconds = Math.floor(milliseconds / 1000);
  return create(DurationSchema, {
    seconds: BigInt(seconds),
    nanos: Math.round((milliseconds - seconds * 1000) * 1e6),
  });
}

/** The longest that the server keeps a lost stream, in milliseconds. */
export function mostRetention({ limits }: GetServerInfoResponse): number {
  const { seconds = 0n, nanos = 0 } = limits?.maxRetention ?? {};
  return Number(seconds) * 1000 + nanos / 1e6;
}

export function seedField(seed: number | bigint | undefined): { readonly seed?: bigint } {
  return seed === undefined ? {} : { seed: BigInt(seed) };
}

/** `models/NAME`, which is how servers name models. */
export function resourceName(model: string): string {
  return model.startsWith('models/') ? model : `models/${model}`;
}

const { TEXT, IMAGE } = OutputModality;
export const modalities: Readonly<Record<NonNullable<GenerateOptions['output']>, readonly OutputModality[]>> =
  { text: [TEXT], image: [IMAGE], interleaved: [TEXT, IMAGE] };

export const scoreOrders: Readonly<Record<NonNullable<ScoreOptions['rankBy']>, ScoreOrder>> = {
  token: ScoreOrder.TOKEN,
  sum: ScoreOrder.SUM,
  authors: ScoreOrder.AUTHORS,
};
