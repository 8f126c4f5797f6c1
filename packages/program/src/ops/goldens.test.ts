import { describe, expect, it } from 'vitest';
import { opNames, ReferenceBackend } from '../index.js';
import { compare, runCase } from '../testing/op-case.js';
import { opCases } from '../testing/op-cases.js';

// The reference loops sum in double precision and round once, so they are held to that and not to what a case
// allows an f32 kernel.
const oneRounding = { absolute: 1e-7, relative: 1.2e-7, reason: 'double precision, rounded to f32 once' };

const cases = opCases();

describe('the reference loops agree with PyTorch', () => {
  it.each(cases.map((opCase) => [opCase.name, opCase] as const))('%s', async (_name, opCase) => {
    const outputs = await runCase(new ReferenceBackend(), opCase);
    const problems = Object.entries(opCase.expected).map(
      ([name, expected]) => compare(name, outputs[name], expected, oneRounding).problem,
    );
    expect(problems.filter((problem) => problem !== null)).toEqual([]);
  });

  it('covers every op', () => {
    const covered = new Set(cases.map((opCase) => opCase.op));
    expect(opNames().filter((name) => !covered.has(name))).toEqual([]);
  });
});
