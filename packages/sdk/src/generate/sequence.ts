import { EmuError } from '@emu/program';

import type { Decoder, Element, Row, RowOutput, RowResult, StepOptions } from './step.js';

export interface ExtendOptions extends StepOptions {
  /** Of the probabilities that are wanted. Default 1. */
  readonly temperature?: number | undefined;
}

/** How a prompt is run. */
export interface PromptOptions extends ExtendOptions {
  /** Told once how many of the prompt's positions the cache had already; before they are run. */
  readonly onCached?: ((positions: number) => void) | undefined;
}

/**
 * One sequence in the key/value cache. Close it when it is no longer needed: its pages go back to the cache.
 * Calls on one sequence must follow one another; different sequences are independent.
 */
export class Sequence {
  readonly #decoder: Decoder;
  readonly #slot: number;
  readonly #onClose: () => void;
  #length: number;
  #open = true;

  private constructor(decoder: Decoder, slot: number, length: number, onClose: () => void) {
    this.#onClose = onClose;
    this.#decoder = decoder;
    this.#slot = slot;
    this.#length = length;
  }

  /** `onClose` is called once, when it is closed. @throws EmuError OUT_OF_MEMORY when all slots of the cache are taken. */
  static open(decoder: Decoder, onClose: () => void = () => undefined): Sequence {
    return new Sequence(decoder, decoder.cache.openSlot(), 0, onClose);
  }

  /** Its place in the cache's books. */
  get slot(): number {
    return this.#slot;
  }

  /** Positions stored so far. */
  get length(): number {
    return this.#length;
  }

  /**
   * Rows that append `elements`, for a step that several sequences take together. `wanted` is asked of the last row,
   * or of all with `every`. `advance` must follow when the step has run.
   */
  rows(
    elements: readonly Element[],
    wanted: readonly RowOutput[],
    {
      every = false,
      temperature,
    }: { readonly every?: boolean; readonly temperature?: number | undefined } = {},
  ): readonly Row[] {
    this.#checkOpen();
    return elements.map((element, index) => ({
      slot: this.#slot,
      position: this.#length + index,
      element,
      wanted: every || index === elements.length - 1 ? wanted : [],
      temperature,
    }));
  }

  /** Counts positions that a step has stored. */
  advance(count: number): void {
    this.#length += count;
  }

  /** Appends elements and returns what is wanted of the last one. elements must not be empty. */
  async extend(
    elements: readonly Element[],
    wanted: readonly RowOutput[],
    options: ExtendOptions = {},
  ): Promise<RowResult> {
    const results = await this.#decoder.step(
      this.rows(elements, wanted, { temperature: options.temperature }),
      options,
    );
    this.advance(elements.length);
    return results[results.length - 1] ?? {};
  }

  /**
   * Begins the sequence with a prompt and returns what is wanted of its last element. Pages that an earlier prompt
   * with the same beginning left in the cache are taken over, and the prompt's own are kept for later ones.
   */
  async prefill(
    prompt: readonly Element[],
    wanted: readonly RowOutput[],
    options: PromptOptions = {},
  ): Promise<RowResult> {
    this.#checkOpen();
    if (this.#length === 0) {
      const cached = this.#decoder.pages.adopt(this.#slot, prompt);
      this.advance(cached);
      options.onCached?.(cached);
    }
    const result = await this.extend(prompt.slice(this.#length), wanted, options);
    if (this.#open && this.#length === prompt.length) this.#decoder.pages.keep(this.#slot, prompt);
    return result;
  }

  /** Appends elements and returns what is wanted of every one. */
  async extendEvery(
    elements: readonly Element[],
    wanted: readonly RowOutput[],
    options: StepOptions = {},
  ): Promise<readonly RowResult[]> {
    const results = await this.#decoder.step(this.rows(elements, wanted, { every: true }), options);
    this.advance(elements.length);
    return results;
  }

  /** A second sequence with the same content. Nothing is computed; pages are shared until one of the two writes. */
  fork(): Sequence {
    this.#checkOpen();
    return new Sequence(
      this.#decoder,
      this.#decoder.cache.forkSlot(this.#slot),
      this.#length,
      () => undefined,
    );
  }

  /** Gives the pages back. Safe to call twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#decoder.cache.closeSlot(this.#slot);
    this.#onClose();
  }

  #checkOpen(): void {
    if (!this.#open) throw new EmuError('MODEL_DISPOSED', '[sequence] the sequence has been closed');
  }
}

/** Appends one element to each of several sequences in one step, and returns what is wanted of each. */
export async function extendTogether(
  decoder: Decoder,
  sequences: readonly Sequence[],
  elements: readonly Element[],
  wanted: readonly RowOutput[],
  options: StepOptions = {},
): Promise<readonly RowResult[]> {
  const rows = sequences.flatMap((sequence, index) => {
    const element = elements[index];
    if (element === undefined) throw new EmuError('INTERNAL', `[sequence] no element for sequence ${index}`);
    return sequence.rows([element], wanted);
  });
  const results = await decoder.step(rows, options);
  for (const sequence of sequences) sequence.advance(1);
  return results;
}
