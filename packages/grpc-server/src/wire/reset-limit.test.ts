import { expect, it } from 'vitest';

import { ResetLimit } from './reset-limit.js';

it('allows an address five hundred calls that are broken off, and then fifty a second', () => {
  const limit = new ResetLimit();
  const allowed = (address: string, count: number, now: number): number =>
    Array.from({ length: count }, () => limit.allows(address, now)).filter(Boolean).length;
  expect(allowed('10.0.0.1', 600, 1000)).toBe(500);
  expect(allowed('10.0.0.2', 3, 1000)).toBe(3);
  expect(allowed('10.0.0.1', 200, 3000)).toBe(100);
  expect(allowed('10.0.0.1', 600, 60_000)).toBe(500);
});

it('forgets the oldest of very many addresses', () => {
  const limit = new ResetLimit();
  for (let index = 0; index < 500; index++) limit.allows('first', 0);
  expect(limit.allows('first', 0)).toBe(false);
  for (let index = 0; index < 10_000; index++) limit.allows(`other ${index}`, 0);
  expect(limit.allows('first', 0)).toBe(true);
});
