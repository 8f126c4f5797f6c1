import type { DecodeImageResponse, GenerateResponse } from '@emu/proto';

/** One event of a generation on the wire; what DecodeImage sends is a part of what Generate does. */
export type GenerationPart = GenerateResponse['event'] | DecodeImageResponse['event'];

/** A numbered event of either stream. */
export interface NumberedPart {
  readonly sequence: bigint;
  readonly event: GenerationPart;
}
