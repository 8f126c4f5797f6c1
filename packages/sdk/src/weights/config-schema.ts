import { EmuError } from '@emu/program';
import { z } from 'zod';

import { quoted } from './checkpoint-error.js';

/** Sizes beyond these are mistakes or attacks: ten times the largest published models. */
export const size = {
  layers: z.int().min(1).max(1024),
  width: z
    .int()
    .min(1)
    .max(1 << 17),
  heads: z.int().min(1).max(4096),
  image: z
    .int()
    .min(1)
    .max(1 << 14),
  patch: z
    .int()
    .min(1)
    .max(1 << 10),
  vocabulary: z
    .int()
    .min(1)
    .max(1 << 22),
  positions: z
    .int()
    .min(1)
    .max(1 << 24),
  buckets: z
    .int()
    .min(2)
    .max(1 << 16),
  channels: z
    .int()
    .min(1)
    .max(1 << 14),
  groups: z
    .int()
    .min(1)
    .max(1 << 14),
} as const;

/** Added to variances before the square root. */
export const epsilon = z.number().gt(0).max(0.1);

/** A setting that must be absent, null or one value: others would change the network. */
export function only<const T extends string | number | boolean>(value: T): z.ZodType<T | null | undefined> {
  return z.literal(value).nullish();
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

function shortText(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/**
 * Checks the content of a configuration file.
 * @throws EmuError INVALID_CONFIG naming file, key and value for the first problem, all of them in `details`.
 */
export function checkConfig<S extends z.ZodType>(schema: S, json: unknown, path: string): z.output<S> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({
    key: issue.path.map(String).join('.') || '(whole file)',
    problem: issue.message,
    came: shortText(valueAt(json, issue.path)),
  }));
  const [first] = issues;
  throw new EmuError(
    'INVALID_CONFIG',
    `[config] ${path}: ${first?.key ?? ''}: ${first?.problem ?? 'invalid'}, ${first?.came ?? ''} came` +
      (issues.length > 1 ? ` (and ${issues.length - 1} more problems)` : ''),
    { details: { path, issues } },
  );
}

/** A relation between values of one configuration does not hold. */
export function inconsistent(
  path: string,
  problem: string,
  details: Readonly<Record<string, unknown>>,
): EmuError {
  return new EmuError('INVALID_CONFIG', `[config] ${path}: ${problem}`, { details: { path, ...details } });
}

/** @throws EmuError INVALID_CONFIG unless `divisor` divides `value`. */
export function requireDivides(path: string, divisor: [string, number], value: [string, number]): void {
  if (value[1] % divisor[1] !== 0) {
    throw inconsistent(
      path,
      `${quoted(divisor[0])} ${divisor[1]} does not divide ${quoted(value[0])} ${value[1]}`,
      {
        [divisor[0]]: divisor[1],
        [value[0]]: value[1],
      },
    );
  }
}
