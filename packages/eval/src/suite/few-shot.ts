import { continuation } from './answers.js';
import { promptOf, takeSamples } from './drawn-samples.js';
import { proportion, proportions } from './estimate.js';
import type { SuiteTest } from './suite-test.js';
import { answersAtOnce, together } from './together.js';

/** What every example says before its name. */
const lead = 'this is a';

function fewShotTest(shots: 0 | 2 | 4 | 8): SuiteTest {
  const score = `fewshot_accuracy_${shots}` as const;
  return {
    name: `new names, ${shots} examples`,
    scores: [score],
    paints: false,
    async run({ emu }, settings) {
      const { limit: count, seed, signal } = settings;
      const samples = await takeSamples({
        kind: 'few-shot',
        split: 'evaluation',
        seed,
        count,
        shots: [shots],
      });
      const outcomes = await together(samples, answersAtOnce, settings, async ({ elements, meta }) => {
        const prompt = [...promptOf(elements.slice(0, -1)), lead];
        const given = await continuation(emu, prompt, { maxNewTokens: 8, stopSequences: ['.'], signal });
        return { group: meta?.task ?? '', isRight: given === meta?.answer };
      });
      return {
        [score]: { ...proportion(outcomes.map((each) => each.isRight)), parts: proportions(outcomes) },
      };
    },
  };
}

/** A new name for each class in every document: without examples it can only be guessed. */
export const fewShotTests: readonly SuiteTest[] = [
  fewShotTest(0),
  fewShotTest(2),
  fewShotTest(4),
  fewShotTest(8),
];
