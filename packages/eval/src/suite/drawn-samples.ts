import { drawnWorld, type Sample, type SampleElement, type SampleKind, type SampleSplit } from '@emu/data';
import { EmuError } from '@emu/program';
import { image, type PromptItem } from '@emu/sdk';

/** Which samples a test is about. */
export interface SampleChoice {
  readonly kind: SampleKind;
  readonly split: Exclude<SampleSplit, 'train'>;
  readonly seed: number;
  readonly count: number;
  /** Numbers of examples of few-shot documents. */
  readonly shots?: readonly number[];
  readonly accepts?: (sample: Sample) => boolean;
}

/** Of every kind at least one sample in a hundred suits every choice that is made here. */
const attemptsPerSample = 1000;

/**
 * Accepts samples of each group until it has its share of `count`, so that no kind is measured on a few samples by
 * chance; samples of no group never.
 */
export function evenly(
  groups: readonly string[],
  count: number,
  groupOf: (sample: Sample) => string,
): (sample: Sample) => boolean {
  const share = Math.ceil(count / groups.length);
  const taken = new Map(groups.map((group) => [group, 0]));
  return (sample) => {
    const group = groupOf(sample);
    const before = taken.get(group);
    if (before === undefined || before >= share) return false;
    taken.set(group, before + 1);
    return true;
  };
}

/** The first samples of a split that suit; none of them is ever in training. */
export async function takeSamples(choice: SampleChoice): Promise<readonly Sample[]> {
  const { kind, split, seed, count, shots, accepts = () => true } = choice;
  const world = drawnWorld({ name: 'suite', kinds: { [kind]: 1 }, ...(shots && { shots }) });
  const stream = world.open({ seed, split });
  const taken: Sample[] = [];
  try {
    for (let attempt = 0; taken.length < count; attempt++) {
      const { value } = await stream.next();
      if (value === undefined || attempt > count * attemptsPerSample) {
        throw new EmuError('INTERNAL', `[suite] no ${count} samples of ${kind} in ${split}`);
      }
      if (accepts(value)) taken.push(value);
    }
  } finally {
    await stream.close();
  }
  return taken;
}

/**
 * Elements as a prompt, laid out as pretraining lays them out: pictures in their places, texts that meet joined by a
 * space.
 */
export function promptOf(elements: readonly SampleElement[]): readonly PromptItem[] {
  return elements.map((element, index) => {
    if (element.type === 'image') return image(element.image);
    return elements[index - 1]?.type === 'text' ? ` ${element.text}` : element.text;
  });
}

/** The texts of elements, in order. */
export function textsOf(elements: readonly SampleElement[]): readonly string[] {
  return elements.flatMap((element) => (element.type === 'text' ? [element.text] : []));
}
