import {
  besideTasks,
  drawnWorld,
  exampleForms,
  questionTasks,
  sampleKinds,
  shards,
  type SampleSource,
} from '@emu/data';
import { EmuError } from '@emu/program';
import { z } from 'zod';

import { decodeImage } from '../../image/decode-node.js';

const tasks = [...questionTasks, ...besideTasks] as const;

const drawnWorldOptions = z
  .strictObject({
    size: z.int().min(16).max(1024).default(64).describe('side of the pictures in pixels'),
    kinds: z
      .partialRecord(z.enum(sampleKinds), z.number().min(0))
      .describe('kinds of samples with the chance of each'),
    alike: z
      .int()
      .min(1)
      .max(8)
      .default(1)
      .describe('pairs in a row that differ in shapes alone: hard negatives of a contrastive batch'),
    least_objects: z
      .int()
      .min(1)
      .max(3)
      .default(1)
      .describe('objects that the scene of a pair has at least; three together are the rarest'),
    most_objects: z
      .int()
      .min(1)
      .max(3)
      .default(3)
      .describe('objects that the scene of a pair may have at most; lone ones teach shapes soonest'),
    questions: z
      .int()
      .min(1)
      .max(8)
      .default(1)
      .describe('questions about one picture or film at most: more to learn of what is encoded once'),
    tasks: z
      .partialRecord(z.enum(tasks), z.number().min(0))
      .optional()
      .describe('what questions about a picture ask for, with the chance of each; by default all alike'),
    shots: z
      .array(z.int().min(0).max(32))
      .min(1)
      .default([2, 4, 8])
      .describe('numbers of examples that a few-shot document may have'),
    classes: z
      .int()
      .min(3)
      .max(8)
      .default(3)
      .describe('names that a few-shot document has at most; each draws its number from 3 on'),
    examples: z
      .partialRecord(z.enum(exampleForms), z.number().min(0))
      .default({ pictures: 1 })
      .describe(
        'how a few-shot document shows its examples, with the chance of each: as pictures, in words, mixed, or as a ' +
          'list of words that comes again and again',
      ),
    gray: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('chance that pictures are gray where no text names a color: shapes by their outline alone'),
  })
  .describe('scenes drawn from the seed, without end');

const shardOptions = z
  .strictObject({
    train: z.string().min(1).describe('tar files, as in data/train-{000000..000123}.tar'),
    evaluation: z.string().min(1).optional().describe('tar files for eval_steps, which training never reads'),
  })
  .describe(
    'samples in tar files as WebDataset lays them out: a picture with a .txt, or a .json of elements',
  );

/** One source of samples in a recipe. */
export const sourceOptions = z
  .strictObject({
    name: z.string().min(1).describe('names the source in logs'),
    weight: z.number().positive().default(1).describe('share of the steps that take their batch from it'),
    drawn_world: drawnWorldOptions.optional(),
    shards: shardOptions.optional(),
    text_first: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('chance that the text of a pair comes before its picture'),
    answers_only: z
      .boolean()
      .default(false)
      .describe('unified stage: texts of users are read and not learned, as in instruction tuning'),
    imagined: z
      .boolean()
      .default(false)
      .describe(
        'unified stage: a picture after a text, or the last of a blend, is learned without being read, from zeros and from own predictions',
      ),
  })
  .refine(({ drawn_world, shards: files }) => (drawn_world === undefined) !== (files === undefined), {
    error: 'needs one of drawn_world and shards',
  });
export type SourceOptions = z.output<typeof sourceOptions>;

/** Keys of every stage that reads samples. */
export const dataOptions = z.strictObject({
  sources: z.array(sourceOptions).min(1).describe('where samples come from'),
  data_seed: z.int().min(0).optional().describe('seed of the sources; that of the recipe by default'),
  data_workers: z.int().min(0).max(64).default(0).describe('threads that prepare samples ahead'),
  eval_batches: z.int().min(1).default(4).describe('batches of a look at held-out data'),
});
export type DataOptions = z.output<typeof dataOptions>;

/** A source with what the recipe says of it. */
export interface MixedSource {
  readonly source: SampleSource;
  readonly weight: number;
  readonly textFirst: number;
  readonly answersOnly: boolean;
  readonly imagined: boolean;
}

/**
 * The sources of a recipe.
 * @throws EmuError INVALID_CONFIG if two have one name or a source cannot be made.
 */
export function recipeSources({ sources }: Pick<DataOptions, 'sources'>): readonly MixedSource[] {
  const names = sources.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new EmuError('INVALID_CONFIG', `[train] two sources are called ${JSON.stringify(twice)}`, {
      hint: 'Give each source a name of its own.',
      details: { name: twice },
    });
  }
  return sources.map((options) => {
    const { name, weight, text_first: textFirst, answers_only: answersOnly, imagined } = options;
    try {
      return { source: sampleSource(options), weight, textFirst, answersOnly, imagined };
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message : String(cause);
      throw new EmuError('INVALID_CONFIG', `[train] source ${JSON.stringify(name)}: ${problem}`, {
        cause,
        details: { source: name },
      });
    }
  });
}

function sampleSource({ name, drawn_world, shards: files }: SourceOptions): SampleSource {
  if (files !== undefined) {
    const { train, evaluation } = files;
    return shards({ name, train, ...(evaluation && { evaluation }), decode: decodeImage });
  }
  const {
    least_objects: leastObjects,
    most_objects: mostObjects,
    tasks: asked,
    ...world
  } = drawn_world ?? {};
  return drawnWorld({
    name,
    ...world,
    ...(leastObjects && { leastObjects }),
    ...(mostObjects && { mostObjects }),
    ...(asked && { tasks: asked }),
  });
}
