import type { Sample, SampleImage } from '@emu/data';

import { featureStatistics, frechetDistance } from '../metrics/frechet.js';
import { showsExactly } from '../judge/judge.js';
import { evenly, takeSamples, textsOf } from './drawn-samples.js';
import { bootstrap, proportion, proportions, seededIndices } from './estimate.js';
import { paint, seen, showsScene } from './paint.js';
import type { Estimate, MeasuredScore } from './score.js';
import type { SuiteTest, TestSettings, TestSubject } from './suite-test.js';
import { paintingsAtOnce, together } from './together.js';
import { pooledVisionFeatures } from './vision-features.js';

/** Paintings per score. */
export function paintingLimit({ limit }: Pick<TestSettings, 'limit'>): number {
  return Math.max(1, Math.ceil(limit / 2));
}

function objectCount({ meta }: Sample): number {
  return meta?.scenes?.[0]?.objects.length ?? 0;
}

function captionOf({ elements }: Sample): string {
  return textsOf(elements)[0] ?? '';
}

function renderingOf({ elements }: Sample): readonly SampleImage[] {
  return elements.flatMap((element) => (element.type === 'image' ? [element.image] : []));
}

/** Accuracies of paintings of scenes; the parts tell where they fail. */
function accuracy(samples: readonly Sample[], paintings: readonly SampleImage[]): MeasuredScore {
  const outcomes = samples.flatMap(({ meta }, index) => {
    const [scene, painting] = [meta?.scenes?.[0], paintings[index]];
    if (scene === undefined || painting === undefined) return [];
    const picture = seen(painting);
    return [
      {
        group: scene.objects.length === 1 ? 'one object' : 'two objects',
        isRight: showsScene(picture, scene),
        hasObjects: showsExactly(picture, scene.objects),
        hasStyle: picture.style === scene.style,
      },
    ];
  });
  return {
    ...proportion(outcomes.map(({ isRight }) => isRight)),
    parts: {
      ...proportions(outcomes),
      'objects right': proportion(outcomes.map(({ hasObjects }) => hasObjects)),
      'style right': proportion(outcomes.map(({ hasStyle }) => hasStyle)),
    },
  };
}

/** Captions with their words in random order: as likely words, another or no scene. */
function shuffledWords(caption: string, seed: number): string {
  const words = caption.replace(/[.,]/g, '').split(' ');
  const index = seededIndices(seed);
  for (let at = words.length - 1; at > 0; at--) {
    const other = index(at + 1);
    [words[at], words[other]] = [words[other] ?? '', words[at] ?? ''];
  }
  return `${words.join(' ')}.`;
}

/** More numbers than that take minutes to resample; of fewer paintings an interval would say nothing. */
const widestResampled = 256;
const fewestResampled = 20;

function distanceOf(
  paintings: readonly Float32Array[],
  renderings: readonly Float32Array[],
): Estimate | undefined {
  const width = renderings[0]?.length ?? 0;
  if (renderings.length < 2 || paintings.length < 2) return undefined;
  const statistics = (rows: readonly Float32Array[]): ReturnType<typeof featureStatistics> =>
    featureStatistics(Float64Array.from(rows.flatMap((row) => [...row])), width);
  const truth = statistics(renderings);
  return bootstrap(
    paintings,
    (rows) => frechetDistance(statistics(rows), truth),
    width > widestResampled || paintings.length < fewestResampled ? 0 : 20,
  );
}

/** Paintings of captions of new scenes. Reassigning captions leaves a set as it is, so the control shuffles words. */
const paintingTest: SuiteTest = {
  name: 'paintings',
  scores: ['t2i_single_accuracy', 't2i_relation_accuracy', 't2i_frechet', 't2i_frechet_shuffled'],
  paints: true,
  async run({ emu, judge }, settings) {
    const { seed, signal } = settings;
    const count = paintingLimit(settings);
    const take = (objects: number): Promise<readonly Sample[]> =>
      takeSamples({
        kind: 'pair',
        split: 'evaluation',
        seed,
        count,
        accepts: (sample) => objectCount(sample) === objects,
      });
    const samples = [...(await take(1)), ...(await take(2))];
    const prompts = samples.map(captionOf);
    const all = await together(
      [...prompts, ...prompts.map((prompt, index) => shuffledWords(prompt, seed + index))],
      paintingsAtOnce,
      settings,
      (prompt, index) => paint(emu, prompt, settings, index),
    );
    const [paintings, shuffled] = [all.slice(0, samples.length), all.slice(samples.length)];
    const features = (pictures: readonly SampleImage[]): Promise<readonly Float32Array[]> =>
      pooledVisionFeatures(judge, pictures, signal);
    const renderings = await features(samples.flatMap(renderingOf));
    const distance = distanceOf(await features(paintings), renderings);
    const control = distanceOf(await features(shuffled), renderings);
    return {
      t2i_single_accuracy: accuracy(samples.slice(0, count), paintings.slice(0, count)),
      t2i_relation_accuracy: accuracy(samples.slice(count), paintings.slice(count)),
      ...(distance && { t2i_frechet: distance }),
      ...(control && { t2i_frechet_shuffled: control }),
    };
  },
};

/**
 * Paintings of color and shape, or shapes and relation, that training never put together; as many of one object as of
 * two.
 */
const heldOutTest: SuiteTest = {
  name: 'held-out paintings',
  scores: ['t2i_heldout_accuracy'],
  paints: true,
  async run({ emu }: TestSubject, settings) {
    const count = paintingLimit(settings);
    const samples = await takeSamples({
      kind: 'pair',
      split: 'held-out',
      seed: settings.seed,
      count,
      accepts: evenly(['1', '2'], count, (sample) => String(objectCount(sample))),
    });
    const paintings = await together(samples, paintingsAtOnce, settings, (sample, index) =>
      paint(emu, captionOf(sample), settings, index),
    );
    return { t2i_heldout_accuracy: accuracy(samples, paintings) };
  },
};

export const paintingTests: readonly SuiteTest[] = [paintingTest, heldOutTest];
