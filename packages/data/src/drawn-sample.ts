import { DataError } from './errors.js';
import type { ExampleForms } from './kinds/few-shot.js';
import { plannersOf } from './kinds/index.js';
import { alikeScene, pairScene, planPair } from './kinds/pair.js';
import type { Plan } from './kinds/plan.js';
import type { TaskWeights } from './kinds/question.js';
import { Random } from './random.js';
import type { Sample, SampleElement, SampleKind, SampleSplit } from './sample.js';
import { drawScene } from './world/draw.js';
import { grayed, namesColor, randomGrayMix, type GrayMix } from './world/gray.js';
import { heldOutAmong, heldOutInScene, isHeldOut } from './world/held-out.js';
import type { Scene } from './world/scene.js';

/** Everything that decides the samples of a drawn world, as plain data: it travels to workers. */
export interface DrawnRecipe {
  /** Name of the source. */
  readonly name: string;
  /** Side of the pictures in pixels. */
  readonly size: number;
  /** Chance of each kind, in any unit. */
  readonly kinds: Readonly<Partial<Record<SampleKind, number>>>;
  /** Numbers of examples that few-shot documents may have. */
  readonly shots: readonly number[];
  /** Classes that few-shot documents have at most. */
  readonly classes: number;
  /** How few-shot documents show their examples, with the chance of each form. */
  readonly examples: ExampleForms;
  /** Pairs that follow one another and differ in shapes alone. */
  readonly alike: number;
  /** The fewest objects that the scene of a pair may have. */
  readonly leastObjects: number;
  /** The most objects that the scene of a pair may have. */
  readonly mostObjects: number;
  /** Questions about one picture or film. */
  readonly questions: number;
  /** What questions about a picture ask for, with the chance of each; absent: see `questionPlanner`. */
  readonly tasks?: TaskWeights;
  /** Chance that the pictures of a sample whose texts name no color are gray. */
  readonly gray: number;
  readonly seed: number;
  readonly split: SampleSplit;
}

/** Far more than ever needed: of every kind, more than one plan in a hundred suits each split. */
const attemptLimit = 10_000;

function scenesOf(plan: Plan): Scene[] {
  return plan.elements.flatMap((element) => (element.type === 'image' ? [element.scene] : []));
}

/** Whether a plan may be shown in a split. */
function obeysSplit(plan: Plan, split: SampleSplit): boolean {
  const namesHeldOut = plan.mentions?.some(isHeldOut) === true;
  if (split === 'held-out') return namesHeldOut || heldOutAmong(plan.focus).length > 0;
  if (namesHeldOut) return false;
  return scenesOf(plan).every((scene) => heldOutInScene(scene).length === 0);
}

function planSample(recipe: DrawnRecipe, kind: SampleKind, index: number): Plan {
  const { seed, split, alike } = recipe;
  const planner = plannersOf(recipe)[kind];
  const scene = (random: Random, attempt: number) => {
    if (alike === 1) return pairScene(random, recipe);
    const group = new Random(seed, Math.floor(index / alike), `${split}/alike/${attempt}`);
    return alikeScene(pairScene(group, recipe), group, index % alike);
  };
  for (let attempt = 0; attempt < attemptLimit; attempt++) {
    const random = new Random(seed, index, `${split}/${kind}/${attempt}`);
    const plan = kind === 'pair' ? planPair(random, scene(random, attempt)) : planner(random);
    if (plan !== null && obeysSplit(plan, recipe.split)) return plan;
  }
  throw new DataError(
    'INTERNAL',
    `[drawn world] sample ${index} of '${recipe.name}': no ${kind} for the split ${recipe.split} in ${attemptLimit} tries`,
    { details: { index, kind, split: recipe.split, seed: recipe.seed } },
  );
}

/** How the colors of a sample's pictures are mixed to gray; undefined: they keep them. */
function grayMixFor(plan: Plan, { gray, seed, split }: DrawnRecipe, index: number): GrayMix | undefined {
  if (gray === 0) return undefined;
  const random = new Random(seed, index, `${split}/gray`);
  if (!random.chance(gray)) return undefined;
  const isTold = plan.elements.some((element) => element.type === 'text' && namesColor(element.text));
  return isTold ? undefined : randomGrayMix(random);
}

/**
 * Makes sample `index` of a drawn world from nothing but the recipe and the index.
 */
export function drawSample(recipe: DrawnRecipe, index: number): Sample {
  const kind = new Random(recipe.seed, index, `${recipe.split}/kind`).weighted(recipe.kinds);
  const plan = planSample(recipe, kind, index);
  const scenes = scenesOf(plan);
  const mix = grayMixFor(plan, recipe, index);
  const elements = plan.elements.map((element): SampleElement => {
    if (element.type === 'text') return element;
    const { scene, ...rest } = element;
    const image = drawScene(scene, recipe.size);
    return { ...rest, image: mix === undefined ? image : grayed(image, mix) };
  });
  const heldOut = [...new Set(scenes.flatMap(heldOutInScene))];
  return {
    id: `${recipe.name}/${recipe.split}/${recipe.seed}/${index}`,
    source: recipe.name,
    kind: plan.kind,
    elements,
    meta: { ...plan.meta, scenes, ...(heldOut.length === 0 ? {} : { heldOut }) },
  };
}
