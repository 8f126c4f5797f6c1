import { relationBetween, type Scene } from '@emu/data';
import { canonicalRelation, isMarked, parseCaption, type ParsedCaption } from './caption-parser.js';

/** Attributes a caption claims, those it should name, and those it names rightly. */
export interface AttributeCounts {
  readonly claimed: number;
  readonly expected: number;
  readonly correct: number;
}

/**
 * Attributes as tuples: every object, its colour, a texture that is not solid, the relation of two objects, a style
 * that is not plain. `optional` are those a caption need not name: sizes and the background.
 */
interface Tuples {
  readonly core: readonly string[];
  readonly optional: readonly string[];
}

function tuplesOfScene(scene: Scene): Tuples {
  const [a, b] = scene.objects;
  const relation =
    a !== undefined && b !== undefined && scene.objects.length === 2
      ? [canonicalRelation(a.shape, relationBetween(a, b), b.shape)]
      : [];
  return {
    core: [
      ...scene.objects.map(({ shape }) => shape),
      ...scene.objects.map(({ shape, color }) => `${shape} is ${color}`),
      ...scene.objects.flatMap(({ shape, texture }) => (isMarked(texture) ? [`${shape} is ${texture}`] : [])),
      ...relation,
      ...(scene.style === 'plain' ? [] : [`style ${scene.style}`]),
    ],
    optional: [
      ...scene.objects.map(({ shape, size }) => `${shape} is ${size}`),
      `background ${scene.background}`,
    ],
  };
}

function tuplesOfCaption(caption: ParsedCaption): Tuples {
  const [a, b] = caption.objects;
  const relation =
    a !== undefined && b !== undefined && caption.relation !== null
      ? [canonicalRelation(a.shape, caption.relation, b.shape)]
      : [];
  return {
    core: [
      ...caption.objects.map(({ shape }) => shape),
      ...caption.objects.flatMap(({ shape, color }) => (color === null ? [] : [`${shape} is ${color}`])),
      ...caption.objects.flatMap(({ shape, texture }) =>
        isMarked(texture) ? [`${shape} is ${texture}`] : [],
      ),
      ...relation,
      ...(caption.style === 'plain' ? [] : [`style ${caption.style}`]),
    ],
    optional: [
      ...caption.objects.flatMap(({ shape, size }) => (size === null ? [] : [`${shape} is ${size}`])),
      ...(caption.background === null ? [] : [`background ${caption.background}`]),
    ],
  };
}

/** How many items two lists have in common, each used once. */
function common(a: readonly string[], b: readonly string[]): number {
  const left = [...b];
  return a.filter((item) => {
    const at = left.indexOf(item);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  }).length;
}

/**
 * Compares a caption with the scene it describes. What a caption must name counts for precision and recall; sizes and
 * the background, which captions name now and then, count as claimed when named and as expected when rightly named.
 */
export function attributeCounts(caption: string, scene: Scene): AttributeCounts {
  const said = tuplesOfCaption(parseCaption(caption));
  const truth = tuplesOfScene(scene);
  const extra = common(said.optional, truth.optional);
  return {
    claimed: said.core.length + said.optional.length,
    expected: truth.core.length + extra,
    correct: common(said.core, truth.core) + extra,
  };
}

/** F1 of all attributes of all captions together, 0..1; with nothing claimed and nothing expected it is 0. */
export function attributeF1(cases: readonly { readonly caption: string; readonly scene: Scene }[]): number {
  let [claimed, expected, correct] = [0, 0, 0];
  for (const { caption, scene } of cases) {
    const counts = attributeCounts(caption, scene);
    claimed += counts.claimed;
    expected += counts.expected;
    correct += counts.correct;
  }
  return claimed + expected === 0 ? 0 : (2 * correct) / (claimed + expected);
}
