import type { TensorData } from '@emu/program';

import { relativeBuckets } from '../../models/causal-transformer.js';
import type { MultimodalConfig } from '../../models/config.js';
import type { SpecialTokens } from '../../tokenizer/special-tokens.js';
import type { UnifiedShape } from '../objective/unified-program.js';
import { isTextTarget, pictureStarts, type TrainingSequence } from './training-sequence.js';

const ignored = -100;

/** What packing needs to know of the model. */
export interface PackingModel {
  readonly config: MultimodalConfig;
  readonly special: SpecialTokens;
}

/** Which terms of the objective a program has beside that of the text. */
export interface PackedTerms {
  readonly visual?: boolean;
  readonly reconstruction?: boolean;
  readonly imagined?: boolean;
}

/**
 * Fills the rows of one training program with sequences, one after the other; sequences of one row do not see each
 * other. A row that a sequence does not fit into is closed.
 */
export class PackedBatch {
  readonly #model: PackingModel;
  readonly #shape: UnifiedShape;
  readonly #ids: Int32Array;
  readonly #position: Int32Array;
  readonly #firstKey: Int32Array;
  readonly #pixels: Float32Array;
  readonly #visualTarget: Int32Array;
  /** Place of [IMG] of every picture. */
  readonly #pictureStarts: number[] = [];
  /** Whether each picture is imagined. */
  readonly #imagined: boolean[] = [];
  readonly #textIndex: number[] = [];
  readonly #textTarget: number[] = [];
  #row = 0;
  #column = 0;
  #sequences = 0;
  #tokens = 0;

  constructor(model: PackingModel, shape: UnifiedShape) {
    const places = shape.rows * shape.length;
    const { imageSize } = model.config.visual;
    this.#model = model;
    this.#shape = shape;
    this.#ids = new Int32Array(places).fill(model.special.pad);
    this.#position = new Int32Array(places);
    // An unused place sees itself alone.
    this.#firstKey = Int32Array.from({ length: places }, (_, place) => place % shape.length);
    this.#pixels = new Float32Array(shape.pictures * 3 * imageSize * imageSize);
    this.#visualTarget = new Int32Array(shape.pictures * model.config.causalTransformer.queries).fill(-1);
  }

  /** What was packed so far. */
  get counts(): { readonly samples: number; readonly tokens: number; readonly images: number } {
    return { samples: this.#sequences, tokens: this.#tokens, images: this.#pictureStarts.length };
  }

  /**
   * Adds a sequence if there is room for its tokens, targets and pictures; says whether it did.
   * @throws EmuError INVALID_PROMPT for a sequence whose pictures and slots do not fit together.
   */
  add(sequence: TrainingSequence): boolean {
    const { ids, pictures, imagined } = sequence;
    const { config, special } = this.#model;
    const { queries } = config.causalTransformer;
    const starts = pictureStarts(sequence, queries, special);
    const targets = this.#targetsOf(sequence);
    const begin = this.#roomFor(ids.length);
    if (
      begin === undefined ||
      this.#pictureStarts.length + pictures.length > this.#shape.pictures ||
      this.#textIndex.length + targets.length > this.#shape.textTargets
    ) {
      return false;
    }
    this.#ids.set(ids, begin);
    for (let place = 0; place < ids.length; place++) {
      this.#position[begin + place] = place;
      this.#firstKey[begin + place] = begin % this.#shape.length;
    }
    for (const place of targets) {
      this.#textIndex.push(begin + place - 1);
      this.#textTarget.push(ids[place] ?? ignored);
    }
    for (const [index, start] of starts.entries()) {
      this.#addPicture(pictures[index], begin + start);
      this.#imagined.push(imagined?.[index] ?? false);
    }
    this.#row = Math.floor(begin / this.#shape.length);
    this.#column = (begin % this.#shape.length) + ids.length;
    this.#sequences += 1;
    this.#tokens += ids.length;
    return true;
  }

  /** The next sequence begins a new row, if one is left. */
  closeRow(): void {
    this.#column = this.#shape.length;
  }

  /** Inputs of `unifiedProgram` with some of its terms, each a mean over what is there. */
  inputs(terms: PackedTerms): Record<string, TensorData> {
    const { textTargets, pictures } = this.#shape;
    const count = this.#textIndex.length;
    const textIndex = new Int32Array(textTargets);
    textIndex.set(this.#textIndex);
    const textTarget = new Int32Array(textTargets).fill(ignored);
    textTarget.set(this.#textTarget);
    const inputs: Record<string, TensorData> = {
      ids: this.#ids,
      position: this.#position,
      firstKey: this.#firstKey,
      textIndex,
      textTarget,
      textWeight: new Float32Array(textTargets).fill(1 / count, 0, count),
    };
    if (pictures === 0) return inputs;
    inputs['pixels'] = this.#pixels;
    inputs['visualTarget'] = this.#visualTarget;
    inputs['relativeBuckets'] = relativeBuckets(this.#model.config.causalTransformer);
    return {
      ...inputs,
      ...(terms.visual && this.#visualInputs()),
      ...(terms.imagined && { imaginedPlace: this.#imaginedPlace() }),
      ...(terms.reconstruction && { cellWeight: this.#cellWeight() }),
    };
  }

  /** [IMG], z_1 .. z_N predict z_1 .. z_N and [/IMG], so N+1 places per picture, each the one before its label. */
  #visualInputs(): Record<string, TensorData> {
    const perPicture = this.#model.config.causalTransformer.queries + 1;
    const total = this.#shape.pictures * perPicture;
    const visualIndex = new Int32Array(total);
    const visualLabel = new Int32Array(total);
    for (const [picture, start] of this.#pictureStarts.entries()) {
      for (let k = 0; k < perPicture; k++) {
        visualIndex[picture * perPicture + k] = start + k;
        visualLabel[picture * perPicture + k] = start + k + 1;
      }
    }
    const count = this.#pictureStarts.length * perPicture;
    return { visualIndex, visualLabel, visualWeight: new Float32Array(total).fill(1 / count, 0, count) };
  }

  /** z_1 .. z_N of imagined pictures are read where the embeddings would be; [/IMG] is a token as ever. */
  #imaginedPlace(): Int32Array {
    const { queries } = this.#model.config.causalTransformer;
    const places = new Int32Array(this.#shape.pictures * (queries + 1)).fill(-1);
    for (const [picture, start] of this.#pictureStarts.entries()) {
      if (this.#imagined[picture] !== true) continue;
      for (let k = 0; k < queries; k++) places[picture * (queries + 1) + k] = start + 1 + k;
    }
    return places;
  }

  /** The mean over the cells of the pictures that are there. */
  #cellWeight(): Float32Array {
    const { queries } = this.#model.config.causalTransformer;
    const count = this.#pictureStarts.length * queries;
    return new Float32Array(this.#shape.pictures * queries).fill(1 / count, 0, count);
  }

  #targetsOf({ ids, learned }: TrainingSequence): readonly number[] {
    const { special } = this.#model;
    const places = ids.map((_, place) => place).slice(1);
    return places.filter(
      (place) => isTextTarget(ids[place] ?? special.pad, special) && (learned?.[place] ?? true),
    );
  }

  /** First place of a stretch of `count` places in this row or the next, if there is one. */
  #roomFor(count: number): number | undefined {
    const { rows, length } = this.#shape;
    if (count > length) return undefined;
    if (this.#column + count <= length) return this.#row * length + this.#column;
    return this.#row + 1 < rows ? (this.#row + 1) * length : undefined;
  }

  #addPicture(pixels: Float32Array | undefined, start: number): void {
    const { queries } = this.#model.config.causalTransformer;
    const picture = this.#pictureStarts.push(start) - 1;
    if (pixels !== undefined) this.#pixels.set(pixels, picture * pixels.length);
    for (let n = 0; n < queries; n++) this.#visualTarget[picture * queries + n] = start + 1 + n;
  }
}
