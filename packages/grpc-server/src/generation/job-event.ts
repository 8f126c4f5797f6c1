import { create, toBinary } from '@bufbuild/protobuf';
import {
  DecodeImageResponseSchema,
  GenerateResponseSchema,
  TextDeltaSchema,
  TokenChunkSchema,
  type DecodeImageResponse,
  type GenerateResponse,
} from '@emu/proto';
import { EmuError } from '@emu/program';

/** Anything that a generation tells; DecodeImage tells fewer kinds. */
export type JobEvent = Extract<GenerateResponse['event'], { readonly value: object }>;

/** About the bytes that an event holds. */
export function bytesOf(event: JobEvent): number {
  switch (event.case) {
    case 'text':
      return 32 + 3 * event.value.text.length;
    case 'tokens':
      return (
        32 + event.value.tokens.reduce((sum, { alternatives }) => sum + 16 + 16 * alternatives.length, 0)
      );
    case 'visualEmbedding':
      return 64 + (event.value.embedding?.values?.data.length ?? 0);
    case 'imageProgress':
      return 32 + event.value.previewJpeg.length;
    case 'image':
      return 64 + event.value.data.length;
    default:
      return 128;
  }
}

/** Whether a later event of the same kind is added to this one, so that a reader loses nothing by waiting for it. */
export function isJoined({ case: kind }: JobEvent): boolean {
  return kind === 'text' || kind === 'tokens';
}

/** Two events as one; undefined when both must be told. Text and tokens are joined, newer progress and places win. */
export function merged(earlier: JobEvent, later: JobEvent): JobEvent | undefined {
  if (earlier.case === 'text' && later.case === 'text') {
    const text = earlier.value.text + later.value.text;
    return text.length > mostTextLength
      ? undefined
      : { case: 'text', value: create(TextDeltaSchema, { text }) };
  }
  if (earlier.case === 'tokens' && later.case === 'tokens') {
    const tokens = [...earlier.value.tokens, ...later.value.tokens];
    return tokens.length > mostTokens
      ? undefined
      : { case: 'tokens', value: create(TokenChunkSchema, { tokens }) };
  }
  if (earlier.case === 'imageProgress' && later.case === 'imageProgress') {
    return earlier.value.imageIndex === later.value.imageIndex ? withPreview(earlier, later) : undefined;
  }
  return earlier.case === 'queued' && later.case === 'queued' ? later : undefined;
}

// So that a message stays small, whatever a reader misses.
const mostTextLength = 64 * 1024;
const mostTokens = 1024;

type Progress = Extract<JobEvent, { readonly case: 'imageProgress' }>;

/** The newest step; its preview, or the one before when it has none. */
function withPreview({ value: { previewJpeg } }: Progress, later: Progress): Progress {
  return later.value.previewJpeg.length > 0
    ? later
    : { case: 'imageProgress', value: { ...later.value, previewJpeg } };
}

export function encodeGenerate(sequence: number, event: JobEvent): Uint8Array {
  if (event.case === 'text') return encodeText(sequence, event.value.text);
  return toBinary(
    GenerateResponseSchema,
    create(GenerateResponseSchema, { sequence: BigInt(sequence), event }),
  );
}

/**
 * A GenerateResponse of text, as toBinary writes it: text is nearly every message there is, and toBinary, which looks
 * at every field of every message, takes fifteen times as long.
 */
function encodeText(sequence: number, text: string): Uint8Array {
  const textBytes = Buffer.byteLength(text);
  const deltaBytes = textBytes === 0 ? 0 : 1 + varintBytes(textBytes) + textBytes;
  const bytes = Buffer.allocUnsafeSlow(1 + varintBytes(sequence) + 1 + varintBytes(deltaBytes) + deltaBytes);
  let at = writeVarint(bytes, 0, 1 << 3); // GenerateResponse.sequence = 1
  at = writeVarint(bytes, at, sequence);
  at = writeVarint(bytes, at, (4 << 3) | 2); // GenerateResponse.text = 4
  at = writeVarint(bytes, at, deltaBytes);
  if (textBytes === 0) return bytes;
  at = writeVarint(bytes, at, (1 << 3) | 2); // TextDelta.text = 1
  at = writeVarint(bytes, at, textBytes);
  bytes.write(text, at);
  return bytes;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) count += 1;
  return count;
}

function writeVarint(bytes: Buffer, at: number, value: number): number {
  let next = at;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[next++] = (rest % 128) | 128;
  bytes[next++] = rest;
  return next;
}

export function encodeDecodeImage(sequence: number, event: JobEvent): Uint8Array {
  const narrow = decodeImageEvent(event);
  return toBinary(
    DecodeImageResponseSchema,
    create(DecodeImageResponseSchema, { sequence: BigInt(sequence), event: narrow }),
  );
}

function decodeImageEvent(event: JobEvent): DecodeImageResponse['event'] {
  if (event.case === 'text' || event.case === 'tokens' || event.case === 'visualEmbedding') {
    throw new EmuError('INTERNAL', `[decode image] an event of kind ${event.case} came`);
  }
  return event;
}
