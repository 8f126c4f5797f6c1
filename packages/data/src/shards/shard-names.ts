import { DataError } from '../errors.js';

/** More shards than any set of one source has; a typo in a range must not fill memory. */
const mostShards = 1_000_000;

/**
 * Paths of a set of shards: `name-{000000..000123}.tar` stands for 124 of them, a path without braces for itself.
 * @throws DataError INVALID_OPTION for a range that is none.
 */
export function expandShards(pattern: string): readonly string[] {
  const range = /^([^{}]*)\{(\d+)\.\.(\d+)\}([^{}]*)$/.exec(pattern);
  if (range === null) {
    if (!/[{}]/.test(pattern)) return [pattern];
    throw notARange(pattern, 'has braces without a range');
  }
  const [, before = '', first = '', last = '', after = ''] = range;
  const count = Number(last) - Number(first) + 1;
  if (count < 1) throw notARange(pattern, 'ends before it begins');
  if (count > mostShards) throw notARange(pattern, `names more than ${mostShards} shards`);
  return Array.from(
    { length: count },
    (_, at) => before + String(Number(first) + at).padStart(first.length, '0') + after,
  );
}

function notARange(pattern: string, problem: string): DataError {
  return new DataError('INVALID_OPTION', `[shards] ${JSON.stringify(pattern)} ${problem}`, {
    hint: 'Write one range of numbers, as in data/train-{000000..000123}.tar, or a path without braces.',
    details: { pattern },
  });
}
