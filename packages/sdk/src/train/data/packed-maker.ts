import { EmuError } from '@emu/program';

import type { UnifiedShape } from '../objective/unified-program.js';
import { PackedBatch, type PackedTerms, type PackingModel } from '../packing/packed-batch.js';
import type { TrainingSequence } from '../packing/training-sequence.js';
import type { TrainingBatch } from '../task.js';
import { batchKey, batchLabel, type BatchMaker } from './mixed-stream.js';
import type { MixedSource } from './recipe-sources.js';
import { SampleReader, type MixOptions, type TakenSample } from './sample-reader.js';

/** How packed batches are made. */
export interface PackedMakerOptions {
  /** Key of the program, and of the one for sources whose pictures are imagined. */
  readonly program: string;
  readonly imagining?: string;
  readonly shape: UnifiedShape;
  readonly terms: PackedTerms;
  /** Whether the program has dropout; then the key of every batch is its own. */
  readonly hasDropout: boolean;
  readonly seed: number;
  readonly sequenceOf: (taken: TakenSample) => TrainingSequence;
  /** More inputs, made of the token ids. */
  readonly extend?: (inputs: TrainingBatch['inputs']) => TrainingBatch['inputs'];
}

const dropoutPurpose = 1;

/** Packs samples of one source until the next one has no room; that one begins the source's next batch. */
export function packedMaker(model: PackingModel, options: PackedMakerOptions): BatchMaker {
  const { program, imagining, shape, terms, hasDropout, seed, sequenceOf, extend } = options;
  return async (reader, batch) => {
    const packed = new PackedBatch(model, shape);
    const ids: string[] = [];
    for (;;) {
      const taken = await reader.next();
      if (packed.add(sequenceOf(taken))) {
        ids.push(taken.sample.id);
        continue;
      }
      if (ids.length === 0) throw tooLarge(taken.sample.id, shape);
      reader.putBack();
      break;
    }
    const imagined = imagining !== undefined && reader.imagined;
    const plain = packed.inputs({ ...terms, imagined });
    const inputs = extend === undefined ? plain : extend(plain);
    const dropoutKey = Int32Array.from(batchKey(seed, batch, dropoutPurpose));
    return {
      program: imagined ? imagining : program,
      inputs: hasDropout ? { ...inputs, dropoutKey } : inputs,
      counts: packed.counts,
      label: batchLabel(reader, ids),
    };
  };
}

const looked = 8;

/**
 * Looks at the first samples of every source, before anything is made.
 * @throws EmuError INVALID_CONFIG naming a sample that rows, pictures or text targets are too few for.
 */
export async function checkFirstSamples(
  sources: readonly MixedSource[],
  mix: MixOptions,
  model: PackingModel,
  { shape, sequenceOf }: Pick<PackedMakerOptions, 'shape' | 'sequenceOf'>,
): Promise<void> {
  for (const source of sources) {
    const reader = new SampleReader(source, { ...mix, workers: 0 }, undefined);
    try {
      for (let count = 0; count < looked; count++) {
        const taken = await reader.next();
        if (!new PackedBatch(model, shape).add(sequenceOf(taken))) throw tooLarge(taken.sample.id, shape);
      }
    } finally {
      await reader.close();
    }
  }
}

function tooLarge(id: string, { length, pictures, textTargets }: UnifiedShape): EmuError {
  return new EmuError(
    'INVALID_CONFIG',
    `[train] sample ${id} alone does not fit into a batch of ${length} places per row, ${pictures} pictures and ` +
      `${textTargets} text targets`,
    {
      hint: 'Raise sequence_length, pictures or text_targets.',
      details: { sample: id, length, pictures, textTargets },
    },
  );
}
