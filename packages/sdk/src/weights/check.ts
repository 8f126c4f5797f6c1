import { sameShape, type Shape } from '@emu/program';

import { corrupt, quoted } from './checkpoint-error.js';
import type { TensorEntry, TensorFile } from './tensor-source.js';

/** A tensor that a model needs. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: Shape;
}

export interface MatchOptions {
  /** Names of tensors that may be in the file and are not used. */
  readonly ignored?: readonly RegExp[];
}

/** How a file differs from what a model needs; all lists are empty when it fits. */
export interface TensorMismatch {
  readonly missing: readonly ExpectedTensor[];
  readonly unexpected: readonly ExpectedTensor[];
  readonly misshaped: readonly { readonly name: string; readonly needed: Shape; readonly found: Shape }[];
}

const shown = 4;

function shapeText(shape: Shape): string {
  return `[${shape.join(',')}]`;
}

/** Compares names and shapes. */
export function compareTensors(
  file: TensorFile,
  expected: readonly ExpectedTensor[],
  options: MatchOptions = {},
): TensorMismatch {
  const { ignored = [] } = options;
  const names = new Set(expected.map(({ name }) => name));
  const misshaped = expected.flatMap(({ name, shape }) => {
    const found = file.entries.get(name)?.shape;
    return found && !sameShape(found, shape) ? [{ name, needed: shape, found }] : [];
  });
  return {
    missing: expected.filter(({ name }) => !file.entries.has(name)),
    unexpected: [...file.entries.values()]
      .filter(({ name }) => !names.has(name) && !ignored.some((pattern) => pattern.test(name)))
      .map(({ name, shape }) => ({ name, shape })),
    misshaped,
  };
}

function summary(count: number, kind: string, lines: readonly string[]): string[] {
  if (count === 0) return [];
  const rest = count > shown ? `, and ${count - shown} more` : '';
  return [`${count} ${kind}: ${lines.slice(0, shown).join(', ')}${rest}`];
}

/**
 * Checks that a file has exactly the tensors a model needs and returns them by name.
 * @throws EmuError CHECKPOINT_CORRUPT with all missing, unexpected and mis-shaped tensors in one error: counts and
 * the first four of each in the message, all of them in `details`.
 */
export function matchTensors(
  file: TensorFile,
  expected: readonly ExpectedTensor[],
  options: MatchOptions = {},
): ReadonlyMap<string, TensorEntry> {
  const mismatch = compareTensors(file, expected, options);
  const { missing, unexpected, misshaped } = mismatch;
  const problems = [
    ...summary(
      missing.length,
      'missing',
      missing.map(({ name, shape }) => `${quoted(name)} ${shapeText(shape)}`),
    ),
    ...summary(
      unexpected.length,
      'unexpected',
      unexpected.map(({ name, shape }) => `${quoted(name)} ${shapeText(shape)}`),
    ),
    ...summary(
      misshaped.length,
      'mis-shaped',
      misshaped.map(
        ({ name, needed, found }) => `${quoted(name)} is ${shapeText(found)}, ${shapeText(needed)} is needed`,
      ),
    ),
  ];
  if (problems.length > 0) {
    throw corrupt(
      { reader: 'weights', path: file.path },
      `the tensors are not those of the configured model: ${problems.join('; ')}`,
      {
        hint: 'Check that the configuration files belong to this checkpoint.',
        details: { ...mismatch },
      },
    );
  }
  const found = new Map<string, TensorEntry>();
  for (const { name } of expected) {
    const entry = file.entries.get(name);
    if (entry) found.set(name, entry);
  }
  return found;
}
