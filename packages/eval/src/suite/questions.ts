import type { Sample, SampleKind } from '@emu/data';

import { vqaAccuracy } from '../metrics/vqa-accuracy.js';
import { answer } from './answers.js';
import { evenly, promptOf, takeSamples, type SampleChoice } from './drawn-samples.js';
import { proportion, proportions } from './estimate.js';
import type { MeasuredScore, ScoreKey } from './score.js';
import type { SuiteTest, TestSettings, TestSubject } from './suite-test.js';
import { answersAtOnce, together } from './together.js';

/** Kinds of questions about one picture; each is asked as often as the others. */
const pictureTasks = ['color', 'shape', 'count', 'relation', 'existence'];

/** People who are asked in the official measure; here they all know the truth. */
const people = 10;

function isRight({ meta }: Sample, given: string): boolean {
  return (
    vqaAccuracy(
      given,
      Array.from({ length: people }, () => meta?.answer ?? ''),
    ) === 1
  );
}

async function measure(
  { emu }: TestSubject,
  settings: TestSettings,
  choice: Pick<SampleChoice, 'kind' | 'split'>,
): Promise<MeasuredScore> {
  const { limit: count, seed, signal } = settings;
  const tasks = choice.kind === 'question' ? pictureTasks : ['motion'];
  const accepts = evenly(tasks, count, ({ meta }) => meta?.task ?? '');
  const samples = await takeSamples({ ...choice, seed, count, accepts });
  const outcomes = await together(samples, answersAtOnce, settings, async (sample) => {
    const media = promptOf(sample.elements.filter(({ type }) => type === 'image'));
    const given = await answer(emu, media, sample.meta?.question ?? '', signal);
    return { group: sample.meta?.task ?? '', isRight: isRight(sample, given) };
  });
  return { ...proportion(outcomes.map((each) => each.isRight)), parts: proportions(outcomes) };
}

function questionTest(
  name: string,
  score: ScoreKey,
  kind: SampleKind,
  split: SampleChoice['split'],
): SuiteTest {
  return {
    name,
    scores: [score],
    paints: false,
    run: async (subject, settings) => ({ [score]: await measure(subject, settings, { kind, split }) }),
  };
}

/** Questions of every kind about pictures of new scenes, about combinations never shown, and about what moves. */
export const questionTests: readonly SuiteTest[] = [
  questionTest('questions', 'vqa_accuracy', 'question', 'evaluation'),
  questionTest('held-out questions', 'vqa_heldout_accuracy', 'question', 'held-out'),
  questionTest('video questions', 'video_qa_accuracy', 'video-question', 'evaluation'),
];
