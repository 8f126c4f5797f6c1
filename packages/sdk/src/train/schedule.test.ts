import { describe, expect, it } from 'vitest';

import { scheduleFactor, type Schedule } from './schedule.js';

const schedule = (changes: Partial<Schedule>): Schedule => ({
  type: 'cosine',
  warmupSteps: 4,
  maxSteps: 12,
  minimumRatio: 0,
  ...changes,
});

describe('scheduleFactor', () => {
  it('rises in a line without a step at 0, to the peak', () => {
    const factors = [0, 1, 2, 3, 4].map((step) => scheduleFactor(schedule({}), step));
    expect(factors).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
  });

  it.each([
    ['cosine', 0.5, 0.5 * (1 + Math.cos((7 / 8) * Math.PI))],
    ['linear', 0.5, 1 / 8],
    ['constant', 1, 1],
  ] as const)('falls as %s', (type, half, last) => {
    expect(scheduleFactor(schedule({ type }), 8)).toBeCloseTo(half, 12);
    expect(scheduleFactor(schedule({ type }), 11)).toBeCloseTo(last, 12);
  });

  it('ends at the ratio that was asked for, and stays there', () => {
    expect(scheduleFactor(schedule({ minimumRatio: 0.1 }), 12)).toBeCloseTo(0.1, 12);
    expect(scheduleFactor(schedule({ minimumRatio: 0.1 }), 99)).toBeCloseTo(0.1, 12);
  });

  it('takes a run that is all warm-up', () => {
    expect(scheduleFactor(schedule({ warmupSteps: 12 }), 11)).toBeCloseTo(12 / 13, 12);
  });
});
