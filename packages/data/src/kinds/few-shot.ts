import { colors, shapes, type Color, type Shape } from '../world/attributes.js';
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

/** Classes per document: with two examples the query's class has often not been seen, with eight nearly always. */
const classCount = 3;

/**
 * k examples and a query, each a picture of one object and `this is a NAME.`. In each document, names are given afresh
 * to three colours or to three shapes; which of the two is for the examples to tell. `shots` lists the ks to choose from.
 * A name that is new comes from the user: nothing before it tells it. One that comes again is the assistant's to find.
 */
export function fewShotPlanner(shots: readonly number[]): Planner {
  return (random): Plan => {
    const rule = random.pick(['color', 'shape'] as const);
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
    return {
      kind: 'few-shot',
      elements: examples.flatMap(({ scene, name }, at) => [
        picture(scene),
        text(`this is a ${name}.`, isNew(at) ? 'user' : 'assistant'),
      ]),
      meta: { task: rule, answer: query?.name ?? '', shots: count },
      focus: query?.scene.objects ?? [],
    };
  };
}
