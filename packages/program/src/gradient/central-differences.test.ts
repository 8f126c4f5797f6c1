import { describe, expect, it } from 'vitest';
import { definitionOf, opNames } from '../ops/index.js';
import { firstDisagreement } from '../testing/central-differences.js';
import { differenceCases } from '../testing/difference-cases.js';

const cases = [...differenceCases()];

/** stopGradient is not what differences say, on purpose; gradient.test.ts says what it is. */
const testedElsewhere = ['stopGradient'];

describe('gradients of ops, by central differences', () => {
  it.each(opNames())('%s has a rule that is tested here, or says why it has none', (op) => {
    const { gradient } = definitionOf(op);
    const tested = testedElsewhere.includes(op) || cases.some((testCase) => testCase.op === op);
    if (typeof gradient === 'function')
      expect(tested, `${op} needs a line in difference-cases.ts`).toBe(true);
    else expect(gradient.because).toMatch(/^\S.{15,}$/);
  });

  it.each(cases.map((testCase) => [`${testCase.op}/${testCase.name}`, testCase] as const))(
    '%s',
    async (_name, testCase) => {
      expect(await firstDisagreement(testCase)).toBeNull();
    },
  );
});
