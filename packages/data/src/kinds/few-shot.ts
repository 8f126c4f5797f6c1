import type { Random } from '../random.js';
import { colors, shapes, type Color, type Shape } from '../world/attributes.js';
import { pairKey } from '../world/held-out.js';
import type { SceneObject } from '../world/scene.js';
import { singleScene } from '../world/scenes.js';
import { picture, text, type Plan, type Planner } from './plan.js';

/** Names that mean nothing outside their document. */
export const inventedNames: readonly string[] = [
  'dax',
  'wug',
  'blicket',
  'fep',
  'toma',
  'zav',
  'lorp',
  'kiki',
];

/**
 * How a document shows its examples: as pictures; each as a picture or in words, `a red circle.` or `red.`; in words; or
 * not at all, as a list of words that comes again and again. Each is learnt much sooner after the one behind it.
 */
export const exampleForms = ['pictures', 'mixed', 'words', 'list'] as const;
export type ExampleForm = (typeof exampleForms)[number];
export type ExampleForms = Readonly<Partial<Record<ExampleForm, number>>>;

/** With two examples the query's class has often not been seen, with eight nearly always. */
export const fewestClasses = 3;

/** What few-shot documents are like. */
export interface FewShotOptions {
  /** Numbers of examples to choose from. */
  readonly shots: readonly number[];
  /** Classes of a document at most, 3..8. */
  readonly classes: number;
  /** Chance of each form, in any unit. */
  readonly forms: ExampleForms;
}

/**
 * k examples and a query, each a picture of one object and `this is a NAME.`. In each document, names are given afresh
 * to colours or to shapes; which of the two is for the examples to tell. A name that is new comes from the user: nothing
 * before it tells it. One that comes again is the assistant's to find.
 */
export function fewShotPlanner({ shots, classes, forms }: FewShotOptions): Planner {
  return (random): Plan => {
    // Without a choice nothing is drawn.
    const [form, ...others] = exampleForms.filter((one) => (forms[one] ?? 0) > 0);
    const chosen = others.length > 0 ? random.weighted(forms) : form;
    if (chosen === 'list') return planList(random, random.pick(shots));
    const rule = random.pick(['color', 'shape'] as const);
    const classCount =
      classes === fewestClasses ? classes : fewestClasses + random.integer(classes - fewestClasses + 1);
    const names = random.shuffled(inventedNames).slice(0, classCount);
    const values: readonly (Color | Shape)[] = random.shuffled<Color | Shape>(
      rule === 'color' ? colors : shapes,
    );
    const count = random.pick(shots);
    const examples = Array.from({ length: count + 1 }, () => {
      const at = random.integer(classCount);
      const look = { [rule]: values[at], texture: 'solid' } as {
        color?: Color;
        shape?: Shape;
        texture: 'solid';
      };
      return { scene: singleScene(random, look, { style: 'plain' }), name: names[at] ?? '' };
    });
    const query = examples.at(-1);
    const isNew = (at: number): boolean =>
      examples.findIndex(({ name }) => name === examples[at]?.name) === at;
    const wording = chosen === 'pictures' ? undefined : randomWording(random, rule);
    const pictured = chosen === 'mixed' ? random.pick([0.5, 1]) : 0;
    const objects = examples.flatMap(({ scene }) => scene.objects);
    return {
      kind: 'few-shot',
      elements: examples.flatMap(({ scene, name }, at) => [
        wording === undefined || random.chance(pictured)
          ? picture(scene)
          : text(wording.describe(scene.objects), 'user'),
        text(`${wording?.lead ?? 'this is a '}${name}.`, isNew(at) ? 'user' : 'assistant'),
      ]),
      meta: { task: rule, answer: query?.name ?? '', shots: count },
      focus: query?.scene.objects ?? [],
      ...(wording && { mentions: objects.map(({ color, shape }) => pairKey(color, shape)) }),
    };
  };
}

interface Wording {
  readonly lead: string;
  readonly describe: (objects: readonly SceneObject[]) => string;
}

/** How a whole document words its examples: what decides alone or with the other attribute, in a sentence or not. */
function randomWording(random: Random, rule: 'color' | 'shape'): Wording {
  const isWhole = random.chance(0.5);
  return {
    lead: random.chance(0.5) ? 'this is a ' : '',
    describe: (objects) =>
      objects
        .map((object) => (isWhole ? `a ${object.color} ${object.shape}.` : `${object[rule]}.`))
        .join(' '),
  };
}

/** Words in an order that means nothing, again and again: about three for each example there would be. */
function planList(random: Random, count: number): Plan {
  const words = random.shuffled([...inventedNames, ...colors, ...shapes]).slice(0, 3 + random.integer(8));
  const line = `${words.join(' ')}.`;
  const times = Math.ceil((3 * count) / words.length);
  return {
    kind: 'few-shot',
    elements: [text(line, 'user'), ...Array.from({ length: times }, () => text(line, 'assistant'))],
    meta: { task: 'list', answer: words.at(-1) ?? '', shots: times },
    focus: [],
    mentions: words.map((word, at) => `${words[at - 1] ?? ''} ${word}`),
  };
}
