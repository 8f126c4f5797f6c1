import { existsSync } from 'node:fs';
import type { DrawnRecipe } from './drawn-sample.js';
import { DataError } from './errors.js';
import { exampleForms, fewestClasses, inventedNames, type ExampleForms } from './kinds/few-shot.js';
import { sampleKinds } from './kinds/index.js';
import type { TaskWeights } from './kinds/question.js';
import { besideTasks, questionTasks } from './language/questions.js';
import type { OpenOptions, SampleKind, SampleSource, SampleSplit, StreamPosition } from './sample.js';
import { openIndexedStream } from './stream/indexed-stream.js';
import { shapes } from './world/attributes.js';

/** What a drawn world consists of. */
export interface DrawnWorldOptions {
  /** Names the source in samples, positions and logs. Default `drawn`. */
  readonly name?: string;
  /** Side of the pictures in pixels, 16..1024. Default 64. */
  readonly size?: number;
  /** Chance of each kind of sample, in any unit. Default: pairs only. */
  readonly kinds?: Readonly<Partial<Record<SampleKind, number>>>;
  /** Numbers of examples that few-shot documents may have, each 0..32. Default 2, 4, 8. */
  readonly shots?: readonly number[];
  /** Classes that few-shot documents have at most, 3..8; each document draws its number from 3 on. Default 3. */
  readonly classes?: number;
  /**
   * How few-shot documents show their examples, with the chance of each form: `pictures`, `words` that tell what a picture
   * would show, `mixed`, where each example is the one or the other, or a `list` of words that comes again and again.
   * Default: pictures.
   */
  readonly examples?: ExampleForms;
  /**
   * Pairs that follow one another and have all but their shapes in common, 1..8: hard negatives of one batch, without
   * which colours and textures suffice to tell pictures apart. Default 1.
   */
  readonly alike?: number;
  /** The fewest objects that the scene of a pair may have, 1..`mostObjects`: many together are the rarest. Default 1. */
  readonly leastObjects?: number;
  /** The most objects that the scene of a pair may have, 1..3: lone objects teach shapes soonest. Default 3. */
  readonly mostObjects?: number;
  /**
   * Different questions about one picture or one film, each followed by its answer, 1..8, as far as there are so many:
   * more to learn of a picture that is encoded once. Default 1.
   */
  readonly questions?: number;
  /**
   * What questions about a picture ask for, with the chance of each: `color`, `shape`, `count`, `relation`, `existence`,
   * `place`, `shape-at`, `neighbor`, `texture`. Default: the first of the five, those beside it of all.
   */
  readonly tasks?: TaskWeights;
  /**
   * Chance that the pictures of a sample are gray, where none of its texts names a color: shapes must then be told by
   * their outline alone. Default 0.
   */
  readonly gray?: number;
}

/** Lies beside this module when it is built. Run from the sources there is none, and samples are made inline. */
const workerFile = new URL('./drawn-worker.js', import.meta.url);

const tasksKnown: readonly string[] = [...questionTasks, ...besideTasks];

const splits: readonly SampleSplit[] = ['train', 'evaluation', 'held-out'];

function checkedChance(option: string, value: number): number {
  if (value >= 0 && value <= 1) return value;
  throw new DataError('INVALID_OPTION', `[drawn world] ${option} is a chance from 0 to 1, got ${value}`, {
    details: { [option]: value },
  });
}

/** Chances by name: known names, none below 0, one above. */
function checkedWeights<Weights extends Readonly<Partial<Record<string, number>>>>(
  option: string,
  known: readonly string[],
  weights: Weights,
): Weights {
  for (const [name, weight] of Object.entries(weights)) {
    if (!known.includes(name)) {
      throw new DataError('INVALID_OPTION', `[drawn world] ${option} has no '${name}'`, {
        hint: `Use some of: ${known.join(', ')}.`,
        details: { [option]: name },
      });
    }
    if (weight === undefined || !Number.isFinite(weight) || weight < 0) {
      throw new DataError(
        'INVALID_OPTION',
        `[drawn world] the weight of '${name}' must be 0 or more, got ${weight}`,
        { details: { [option]: name, weight } },
      );
    }
  }
  if (!Object.values(weights).some((weight) => weight !== undefined && weight > 0)) {
    throw new DataError(
      'INVALID_OPTION',
      `[drawn world] ${option} needs at least one weight above 0, got none`,
    );
  }
  return weights;
}

function checkedInteger(name: string, value: number, low: number, high: number): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new DataError(
      'INVALID_OPTION',
      `[drawn world] ${name} must be an integer of ${low}..${high}, got ${value}`,
      { details: { [name]: value } },
    );
  }
  return value;
}

/** The index in a position of this source. */
function indexAt(position: StreamPosition | undefined): number {
  if (position === undefined) return 0;
  const index =
    typeof position === 'object' && position !== null && 'index' in position ? position.index : undefined;
  if (typeof index === 'number') return checkedInteger('position.index', index, 0, Number.MAX_SAFE_INTEGER);
  throw new DataError(
    'INVALID_OPTION',
    `[drawn world] a position is {"index": number}, got ${JSON.stringify(position)}`,
    { hint: 'Pass what position() of a stream of this source returned.', details: { position } },
  );
}

/**
 * A world that draws itself: unlimited samples, the same for the same seed on every machine. Sample i is made without
 * those before it. Its positions are `{ index }`.
 * @throws DataError INVALID_OPTION for a size, kind or weight that cannot be.
 */
export function drawnWorld(options: DrawnWorldOptions = {}): SampleSource {
  const name = options.name ?? 'drawn';
  const size = checkedInteger('size', options.size ?? 64, 16, 1024);
  const kinds = checkedWeights('kinds', sampleKinds, options.kinds ?? { pair: 1 });
  const shots = (options.shots ?? [2, 4, 8]).map((count) => checkedInteger('shots', count, 0, 32));
  if (shots.length === 0)
    throw new DataError('INVALID_OPTION', '[drawn world] shots needs at least one number');
  const classes = checkedInteger(
    'classes',
    options.classes ?? fewestClasses,
    fewestClasses,
    inventedNames.length,
  );
  const examples = checkedWeights('examples', exampleForms, options.examples ?? { pictures: 1 });
  const alike = checkedInteger('alike', options.alike ?? 1, 1, shapes.length);
  const mostObjects = checkedInteger('mostObjects', options.mostObjects ?? 3, 1, 3);
  const leastObjects = checkedInteger('leastObjects', options.leastObjects ?? 1, 1, mostObjects);
  const questions = checkedInteger('questions', options.questions ?? 1, 1, 8);
  const gray = checkedChance('gray', options.gray ?? 0);
  const tasks = options.tasks === undefined ? undefined : checkedWeights('tasks', tasksKnown, options.tasks);
  return {
    name,
    open: (open: OpenOptions) => {
      const seed = checkedInteger('seed', open.seed, 0, Number.MAX_SAFE_INTEGER);
      const { split } = open;
      const recipe: DrawnRecipe = {
        ...{ name, size, kinds, shots, classes, examples, alike, leastObjects, mostObjects },
        ...{ questions, gray, seed, split },
        ...(tasks && { tasks }),
      };
      if (!splits.includes(open.split)) {
        throw new DataError('INVALID_OPTION', `[drawn world] there is no split '${open.split}'`, {
          hint: `Use one of: ${splits.join(', ')}.`,
          details: { split: open.split },
        });
      }
      const workers = checkedInteger('workers', open.workers ?? 0, 0, 256);
      return openIndexedStream({
        recipe,
        first: indexAt(open.position),
        workers: existsSync(workerFile) ? workers : 0,
        ahead: checkedInteger('ahead', open.ahead ?? 64, 1, 65_536),
        workerFile,
      });
    },
  };
}
