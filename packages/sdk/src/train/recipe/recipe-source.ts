import { EmuError } from '@emu/program';
import {
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parse,
  parseDocument,
  type Document,
  type Node,
} from 'yaml';

/** A place in a recipe: keys and indices from the top. */
export type RecipePath = readonly (string | number)[];

/** One `key=value` of a command line. */
interface Override {
  readonly path: RecipePath;
  readonly text: string;
}

// Recipes are pages, not data.
const largestFile = 2 ** 20;
const mostAliases = 100;

/** A recipe file and the settings of a command line that go before it: the values, and where each comes from. */
export class RecipeSource {
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #overrides: readonly Override[];
  /** The content, overridden. */
  readonly values: Readonly<Record<string, unknown>>;

  /**
   * @throws EmuError INVALID_CONFIG with file:line:column for text that is no YAML map, INVALID_OPTION for a setting
   *   that is not `key=value` or does not fit into the recipe.
   */
  constructor(file: string, text: string, overrides: readonly string[]) {
    this.#file = file;
    this.#lines = new LineCounter();
    if (text.length > largestFile) {
      throw new EmuError(
        'INVALID_CONFIG',
        `[recipe] ${file} has ${text.length} characters, at most ${largestFile}`,
        {
          details: { file, length: text.length },
        },
      );
    }
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    this.#refuseSyntax();
    this.values = this.#plainValues();
    this.#overrides = overrides.map(parseOverride);
    for (const override of this.#overrides) setIn(this.values, override);
  }

  /** Where a value is written: `file:line:column`, the setting of the command line, or undefined for neither. */
  originOf(path: RecipePath): string | undefined {
    const override = this.#overrides.findLast((each) => startsWith(path, each.path));
    if (override !== undefined) return `command line ${override.text}`;
    const node = this.#nodeAt(path);
    return node === undefined ? undefined : this.#place(node.range?.[0] ?? 0);
  }

  /** Where a key is written: as `originOf`, but the place of the key itself. */
  keyOriginOf(path: RecipePath): string {
    const override = this.#overrides.findLast(
      (each) => startsWith(path, each.path) || startsWith(each.path, path),
    );
    const key = path.at(-1);
    const map = this.#nodeAt(path.slice(0, -1));
    const pair = isMap(map)
      ? map.items.find((item) => isScalar(item.key) && item.key.value === key)
      : undefined;
    const start = isPair(pair) && isNode(pair.key) ? pair.key.range?.[0] : undefined;
    if (start !== undefined) return this.#place(start);
    return override === undefined ? this.nearestOriginOf(path) : `command line ${override.text}`;
  }

  /** The place of a value, or of the innermost thing around it that is written somewhere. */
  nearestOriginOf(path: RecipePath): string {
    for (let length = path.length; length > 0; length--) {
      const origin = this.originOf(path.slice(0, length));
      if (origin !== undefined) return origin;
    }
    return this.#place(this.#document.contents?.range?.[0] ?? 0);
  }

  #nodeAt(path: RecipePath): Node | undefined {
    let node: unknown = this.#document.contents;
    for (const key of path) {
      if (!isCollection(node)) return undefined;
      node = node.get(key, true);
    }
    return isNode(node) ? node : undefined;
  }

  #place(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#file}:${line}:${col}`;
  }

  #refuseSyntax(): void {
    const [problem] = this.#document.errors;
    if (problem === undefined) return;
    throw new EmuError('INVALID_CONFIG', `[recipe] ${this.#place(problem.pos[0])} ${problem.message}`, {
      hint: 'The file must be YAML 1.2: a map of keys to values.',
      details: { place: this.#place(problem.pos[0]), code: problem.code },
      cause: problem,
    });
  }

  #plainValues(): Record<string, unknown> {
    if (!isMap(this.#document.contents)) {
      throw new EmuError('INVALID_CONFIG', `[recipe] ${this.#place(0)} a recipe is a map of keys to values`, {
        details: { file: this.#file },
      });
    }
    try {
      return this.#document.toJS({ maxAliasCount: mostAliases }) as Record<string, unknown>;
    } catch (error) {
      throw new EmuError('INVALID_CONFIG', `[recipe] ${this.#file} ${(error as Error).message}`, {
        details: { file: this.#file },
        cause: error,
      });
    }
  }
}

function startsWith(path: RecipePath, start: RecipePath): boolean {
  return start.length <= path.length && start.every((key, index) => key === path[index]);
}

/** `a.b.0.c=value`; the value is YAML, so lists and maps can be given in brackets and braces. */
function parseOverride(text: string): Override & { readonly value: unknown } {
  const [, keys = '', value = ''] = /^([\w-]+(?:\.[\w-]+)*)=(.*)$/s.exec(text) ?? [];
  if (keys === '') {
    throw new EmuError('INVALID_OPTION', `[recipe] ${JSON.stringify(text)} is not key=value`, {
      hint: 'Write settings as learning_rate=1e-4, nested ones as adapter.r=8.',
      details: { setting: text },
    });
  }
  const path = keys.split('.').map((key) => (/^\d+$/.test(key) ? Number(key) : key));
  try {
    return { path, text, value: parse(value) as unknown };
  } catch (error) {
    throw new EmuError('INVALID_OPTION', `[recipe] the value of ${JSON.stringify(text)} is no YAML`, {
      details: { setting: text },
      cause: error,
    });
  }
}

function setIn(values: Record<string, unknown>, override: Override & { readonly value?: unknown }): void {
  const { path, text, value } = override;
  let place: unknown = values;
  for (const [index, key] of path.entries()) {
    const isLast = index === path.length - 1;
    if (Array.isArray(place) ? typeof key !== 'number' || key > place.length : typeof place !== 'object') {
      throw new EmuError('INVALID_OPTION', `[recipe] there is no place for ${JSON.stringify(text)}`, {
        hint: `${path.slice(0, index).join('.')} ${placeText(place)} in the recipe.`,
        details: { setting: text },
      });
    }
    const container = place as Record<string | number, unknown>;
    if (isLast) {
      Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true });
      return;
    }
    if (!Object.hasOwn(container, key) || container[key] === null) container[key] = {};
    place = container[key];
  }
}

function placeText(place: unknown): string {
  if (!Array.isArray(place)) return `is ${JSON.stringify(place).slice(0, 80)}`;
  return `has ${place.length} ${place.length === 1 ? 'entry' : 'entries'}, numbered from 0,`;
}
