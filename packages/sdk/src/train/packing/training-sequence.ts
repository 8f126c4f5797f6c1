import { EmuError } from '@emu/program';

import type { SpecialTokens } from '../../tokenizer/special-tokens.js';

/** One sequence to be trained on: `<s>`, text and pictures in order, `</s>`. */
export interface TrainingSequence {
  /** Token ids; every picture is [IMG], N times <image>, [/IMG]. */
  readonly ids: readonly number[];
  /**
   * False for tokens that are read but not learned, such as a question; as many as `ids`. Absent: all are learned.
   * Tokens that never are ([PAD], <image>, [IMG], [/IMG]) need not be marked.
   */
  readonly learned?: readonly boolean[];
  /** Pixels of the pictures in order, each [3,S,S] f32, normalised with the CLIP mean and deviation. */
  readonly pictures: readonly Float32Array[];
  /** Which pictures are imagined, see `UnifiedOptions.imagined`; as many as pictures. Absent: none. */
  readonly imagined?: readonly boolean[];
}

/**
 * Whether a token is ever a text target: [PAD], <image>, [IMG] and [/IMG] are not, so the model is not trained to
 * begin a picture by itself. Source: Emu1/models/modeling_llama.py:206-220.
 */
export function isTextTarget(id: number, special: SpecialTokens): boolean {
  return (
    id !== special.pad && id !== special.imageSlot && id !== special.imageStart && id !== special.imageEnd
  );
}

/**
 * Places of the [IMG] tokens that N slots and [/IMG] follow.
 * @throws EmuError INVALID_PROMPT if the number of pictures differs or a picture's tokens are not in this order.
 */
export function pictureStarts(
  { ids, pictures }: TrainingSequence,
  queries: number,
  special: SpecialTokens,
): readonly number[] {
  const starts: number[] = [];
  ids.forEach((id, place) => {
    if (id === special.imageStart && ids[place + 1] === special.imageSlot) starts.push(place);
  });
  const slots = ids.filter((id) => id === special.imageSlot).length;
  const wellFormed = starts.every(
    (start) =>
      ids.slice(start + 1, start + 1 + queries).every((id) => id === special.imageSlot) &&
      ids[start + queries + 1] === special.imageEnd,
  );
  if (wellFormed && starts.length === pictures.length && slots === starts.length * queries) return starts;
  throw new EmuError(
    'INVALID_PROMPT',
    `[packing] a sequence has ${pictures.length} pictures, but ${starts.length} runs of [IMG] and ${slots} slots; each ` +
      `picture needs [IMG], ${queries} slots and [/IMG]`,
    { details: { pictures: pictures.length, runs: starts.length, slots, queries } },
  );
}
