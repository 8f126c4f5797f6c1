import { EmuError } from '@emu/program';

/** What a value of an option must be; `describe` ends the sentence "… must be". */
export interface OptionRule {
  readonly describe: string;
  readonly accepts: (value: unknown) => boolean;
}

export type OptionRules = Readonly<Record<string, OptionRule>>;

export function integerIn(least: number, most: number): OptionRule {
  return {
    describe: `a whole number in ${least}..${most}`,
    accepts: (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  };
}

export function numberIn(least: number, most: number): OptionRule {
  return {
    describe: `a number in ${least}..${most}`,
    accepts: (value) => typeof value === 'number' && value >= least && value <= most,
  };
}

/** Above `bound`, which itself is refused. */
export function numberAbove(bound: number, most: number): OptionRule {
  return {
    describe: `a number above ${bound} and at most ${most}`,
    accepts: (value) => typeof value === 'number' && value > bound && value <= most,
  };
}

export function oneOf(...values: readonly string[]): OptionRule {
  return {
    describe: `one of ${values.join(', ')}`,
    accepts: (value) => typeof value === 'string' && values.includes(value),
  };
}

export const boolean: OptionRule = {
  describe: 'true or false',
  accepts: (value) => typeof value === 'boolean',
};

export const text: OptionRule = { describe: 'a text', accepts: (value) => typeof value === 'string' };

/** A list of at least one non-empty text. */
export function textList(most: number): OptionRule {
  return {
    describe: `a list of 1..${most} texts, none empty`,
    accepts: (value) =>
      Array.isArray(value) &&
      value.length >= 1 &&
      value.length <= most &&
      value.every((entry) => typeof entry === 'string' && entry !== ''),
  };
}

export const seed: OptionRule = {
  describe: 'a whole number in 0..2^53-1, or a bigint in 0..2^64-1',
  accepts: (value) =>
    typeof value === 'bigint'
      ? value >= 0n && value < 1n << 64n
      : Number.isSafeInteger(value) && (value as number) >= 0,
};

export const floats: OptionRule = {
  describe: 'a Float32Array of finite numbers',
  accepts: (value) => value instanceof Float32Array && value.every((entry) => Number.isFinite(entry)),
};

export const abortSignal: OptionRule = {
  describe: 'an AbortSignal',
  accepts: (value) => value instanceof AbortSignal,
};

/**
 * Checks the options of a call: every key known, every value that is not undefined as its rule says.
 * @throws EmuError INVALID_OPTION naming the option, what came and what is accepted; for an unknown key the nearest name.
 */
export function checkOptions(place: string, options: unknown, rules: OptionRules): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new EmuError('INVALID_OPTION', `[${place}] options must be an object, got ${shown(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined) throw unknownOption(place, name, Object.keys(rules));
    if (value === undefined || rule.accepts(value)) continue;
    throw new EmuError('INVALID_OPTION', `[${place}] ${name} must be ${rule.describe}, got ${shown(value)}`, {
      details: { option: name, value: shown(value) },
    });
  }
}

function unknownOption(place: string, name: string, known: readonly string[]): EmuError {
  const nearest = nearestName(name, known);
  const all = `The options are ${known.join(', ')}.`;
  return new EmuError('INVALID_OPTION', `[${place}] there is no option ${JSON.stringify(name)}`, {
    hint: nearest === undefined ? all : `Did you mean ${nearest}? ${all}`,
    details: { option: name, nearest },
  });
}

/** The known name with the fewest edits, if they are few enough for a slip. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const plain = (value: string): string => value.toLowerCase().replace(/[^a-z0-9]/g, '');
  const distances = known.map((candidate) => editDistance(plain(name), plain(candidate)));
  const least = Math.min(...distances);
  return least <= Math.max(1, Math.floor(name.length / 3)) ? known[distances.indexOf(least)] : undefined;
}

/** Levenshtein's distance: insertions, deletions and replacements. Long names are cut. */
function editDistance(a: string, b: string): number {
  const [left, right] = [a.slice(0, 64), b.slice(0, 64)];
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return typeof value;
  if (ArrayBuffer.isView(value)) return value.constructor.name;
  try {
    const json = JSON.stringify(value);
    return json.length > 80 ? `${json.slice(0, 80)}...` : json;
  } catch {
    return 'an object'; // one that refers to itself, or holds a bigint
  }
}
