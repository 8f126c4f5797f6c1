import type { Random } from '../random.js';
import { colors, shapes, type Color, type Shape } from '../world/attributes.js';
import { pairKey, relationKey } from '../world/held-out.js';
import { relationBetween, relations, type Relation, type Scene, type SceneObject } from '../world/scene.js';
import { placePhrase, relationPhrases, withArticle } from './phrases.js';

/** What can be asked about one picture. */
export const questionTasks = ['color', 'shape', 'count', 'relation', 'existence'] as const;
export type QuestionTask = (typeof questionTasks)[number];

/**
 * What is asked about a picture beside another question, or alone where a recipe says so: where an object lies, which
 * shape lies somewhere, and what lies on a side of an object teach what questions of relation rest on; the texture of an
 * object is one word of a caption in ten, too few to learn it soon. Scores of questions do not measure them.
 */
export const besideTasks = ['place', 'shape-at', 'neighbor', 'texture'] as const;
export type BesideTask = (typeof besideTasks)[number];

/** A question about a picture with its one right answer. */
export interface Question {
  readonly task: QuestionTask | BesideTask;
  readonly question: string;
  /** One or two words. */
  readonly answer: string;
  /** The same answer as a sentence, for dialogues. */
  readonly sentence: string;
  /** The objects the answer depends on. */
  readonly focus: readonly SceneObject[];
  /** Combinations that the question names though the picture does not show them. */
  readonly mentions: readonly string[];
}

/** The word for a count of 0..3. */
export function countWord(count: number): string {
  return ['zero', 'one', 'two', 'three'][count] ?? 'many';
}

const shortRelations: Readonly<Record<Relation, string>> = {
  'left-of': 'left',
  'right-of': 'right',
  above: 'above',
  below: 'below',
};

/** The objects whose colour, or shape, no other object of the scene has. */
function unique(scene: Scene, attribute: 'color' | 'shape'): SceneObject[] {
  return scene.objects.filter(
    (object) => scene.objects.filter((other) => other[attribute] === object[attribute]).length === 1,
  );
}

function askColor(random: Random, scene: Scene): Question | null {
  const candidates = unique(scene, 'shape');
  if (candidates.length === 0) return null;
  const object = random.pick(candidates);
  return {
    task: 'color',
    question: random.pick([
      `what color is the ${object.shape}?`,
      `what is the color of the ${object.shape}?`,
    ]),
    answer: object.color,
    sentence: random.pick([`the ${object.shape} is ${object.color}.`, `it is ${object.color}.`]),
    focus: [object],
    mentions: [],
  };
}

function askShape(random: Random, scene: Scene): Question | null {
  const candidates = unique(scene, 'color');
  if (candidates.length === 0) return null;
  const object = random.pick(candidates);
  return {
    task: 'shape',
    question: random.pick([
      `what shape is the ${object.color} object?`,
      `what is the shape of the ${object.color} object?`,
      `what is the ${object.color} object?`,
    ]),
    answer: object.shape,
    sentence: random.pick([`the ${object.color} object is a ${object.shape}.`, `it is a ${object.shape}.`]),
    focus: [object],
    mentions: [],
  };
}

function askCount(random: Random, scene: Scene): Question {
  const noun = random.weighted({ object: 4, shape: 3, color: 3 });
  const value = random.chance(0.7)
    ? random.pick(scene.objects)
    : { shape: random.pick(shapes), color: random.pick(colors) };
  const counted = scene.objects.filter((object) =>
    noun === 'object' ? true : noun === 'shape' ? object.shape === value.shape : object.color === value.color,
  );
  const plural =
    noun === 'object' ? 'objects' : noun === 'shape' ? pluralOf(value.shape) : `${value.color} objects`;
  const answer = countWord(counted.length);
  return {
    task: 'count',
    question: random.pick([`how many ${plural} are there?`, `how many ${plural} do you see?`]),
    answer,
    sentence: counted.length === 1 ? `there is ${answer}.` : `there are ${answer}.`,
    focus: scene.objects,
    mentions: [],
  };
}

function pluralOf(shape: Shape): string {
  return shape === 'cross' ? 'crosses' : `${shape}s`;
}

/** Only of pairs whose relation is clear: along one axis at least half as far again as along the other. */
function clearPairs(scene: Scene): [SceneObject, SceneObject][] {
  const named = unique(scene, 'shape');
  return named.flatMap((a) =>
    named.flatMap((b): [SceneObject, SceneObject][] => {
      const [near, far] = [Math.abs(a.x - b.x), Math.abs(a.y - b.y)].sort((x, y) => x - y);
      return a !== b && (far ?? 0) >= 1.5 * (near ?? 0) ? [[a, b]] : [];
    }),
  );
}

function askRelation(random: Random, scene: Scene): Question | null {
  const pairs = clearPairs(scene);
  if (pairs.length === 0) return null;
  const [a, b] = random.pick(pairs);
  const truth = relationBetween(a, b);
  const truthPhrase = `the ${a.shape} is ${random.pick(relationPhrases[truth])} the ${b.shape}.`;
  if (random.chance(0.5)) {
    return {
      task: 'relation',
      question: random.pick([
        `where is the ${a.shape} from the ${b.shape}?`,
        `on which side of the ${b.shape} is the ${a.shape}?`,
      ]),
      answer: shortRelations[truth],
      sentence: truthPhrase,
      focus: [a, b],
      mentions: [],
    };
  }
  const asked = random.chance(0.5) ? truth : random.pick(relations.filter((relation) => relation !== truth));
  return {
    task: 'relation',
    question: `is the ${a.shape} ${random.pick(relationPhrases[asked])} the ${b.shape}?`,
    answer: asked === truth ? 'yes' : 'no',
    sentence: asked === truth ? `yes, ${truthPhrase}` : `no, ${truthPhrase}`,
    focus: [a, b],
    mentions: asked === truth ? [] : [relationKey(a.shape, asked, b.shape)],
  };
}

/** An absent object that shares a colour or a shape with the scene where that can be: telling it needs a close look. */
function absentObject(random: Random, scene: Scene): { color: Color; shape: Shape } {
  for (;;) {
    const near = random.pick(scene.objects);
    const keep = random.integer(3);
    const color = keep === 0 ? near.color : random.pick(colors);
    const shape = keep === 1 ? near.shape : random.pick(shapes);
    if (scene.objects.every((object) => object.color !== color || object.shape !== shape))
      return { color, shape };
  }
}

function askExistence(random: Random, scene: Scene): Question {
  const isThere = random.chance(0.5);
  const present = random.pick(scene.objects);
  const { color, shape } = isThere ? present : absentObject(random, scene);
  const name = `${color} ${shape}`;
  return {
    task: 'existence',
    question: random.pick([
      `is there ${withArticle(name)}?`,
      `does the picture show ${withArticle(name)}?`,
      `do you see ${withArticle(name)}?`,
    ]),
    answer: isThere ? 'yes' : 'no',
    sentence: isThere ? `yes, there is ${withArticle(name)}.` : `no, there is no ${name}.`,
    focus: isThere ? [present] : [],
    mentions: isThere ? [] : [pairKey(color, shape)],
  };
}

/** The objects whose place is clear cut. */
function placed(objects: readonly SceneObject[]): { object: SceneObject; place: string }[] {
  return objects.flatMap((object) => {
    const place = placePhrase(object);
    return place === null ? [] : [{ object, place }];
  });
}

function askPlace(random: Random, scene: Scene): Question | null {
  const candidates = placed(unique(scene, 'shape'));
  if (candidates.length === 0) return null;
  const { object, place } = random.pick(candidates);
  return {
    task: 'place',
    question: `where is the ${object.shape}?`,
    answer: place,
    sentence: `the ${object.shape} is ${place}.`,
    focus: [object],
    mentions: [],
  };
}

/** The other way round than `place`. Neither names a color, so a gray picture can be asked for both. */
function askShapeAt(random: Random, scene: Scene): Question | null {
  const all = placed(scene.objects);
  const candidates = all.filter(({ place }) => all.filter((other) => other.place === place).length === 1);
  if (candidates.length === 0) return null;
  const { object, place } = random.pick(candidates);
  return {
    task: 'shape-at',
    question: `what shape is ${place}?`,
    answer: object.shape,
    sentence: `${withArticle(object.shape)} is ${place}.`,
    focus: [object],
    mentions: [],
  };
}

/** Of two objects alone: of three, several may lie on one side. */
function askNeighbor(random: Random, scene: Scene): Question | null {
  const pairs = scene.objects.length === 2 ? clearPairs(scene) : [];
  if (pairs.length === 0) return null;
  const [a, b] = random.pick(pairs);
  const phrase = random.pick(relationPhrases[relationBetween(a, b)]);
  return {
    task: 'neighbor',
    question: `what is ${phrase} the ${b.shape}?`,
    answer: withArticle(`${a.color} ${a.shape}`),
    sentence: `${withArticle(`${a.color} ${a.shape}`)} is ${phrase} the ${b.shape}.`,
    focus: [a, b],
    mentions: [],
  };
}

function askTexture(random: Random, scene: Scene): Question | null {
  const candidates = unique(scene, 'shape');
  if (candidates.length === 0) return null;
  const object = random.pick(candidates);
  return {
    task: 'texture',
    question: random.pick([
      `is the ${object.shape} solid, striped or dotted?`,
      `what is the texture of the ${object.shape}?`,
    ]),
    answer: object.texture,
    sentence: random.pick([`the ${object.shape} is ${object.texture}.`, `it is ${object.texture}.`]),
    focus: [object],
    mentions: [],
  };
}

const askers: Readonly<Record<QuestionTask | BesideTask, (random: Random, scene: Scene) => Question | null>> =
  {
    color: askColor,
    shape: askShape,
    count: askCount,
    relation: askRelation,
    existence: askExistence,
    place: askPlace,
    'shape-at': askShapeAt,
    neighbor: askNeighbor,
    texture: askTexture,
  };

/** Asks about a scene, or returns null where the scene leaves nothing clear to ask. */
export function askAbout(random: Random, scene: Scene, task: QuestionTask | BesideTask): Question | null {
  return askers[task](random, scene);
}
