import { EmuError, type EmuErrorCode } from '@emu/program';

/** A refusal of one field of a request; `field` is its path in the names of the wire. */
export function badField(
  field: string,
  message: string,
  options: {
    readonly code?: EmuErrorCode;
    readonly hint?: string;
    readonly details?: Readonly<Record<string, unknown>>;
  } = {},
): EmuError {
  return new EmuError(options.code ?? 'INVALID_OPTION', `[${field}] ${message}`, {
    ...(options.hint === undefined ? {} : { hint: options.hint }),
    details: { field, ...options.details },
  });
}

/** The same failure, told of a field. One that names a field already keeps it. */
export function atField(field: string, failure: unknown): unknown {
  if (!EmuError.isInstance(failure) || failure.details['field'] !== undefined) return failure;
  const { code, message, hint, details } = failure;
  return new EmuError(code, message, {
    ...(hint === undefined ? {} : { hint }),
    details: { field, ...details },
    cause: failure,
  });
}

/** `maxNewTokens` as the wire spells it. */
export function wireName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** @throws EmuError INVALID_OPTION for a list that is longer than accepted. */
export function checkCount(field: string, count: number, most: number): void {
  if (count <= most) return;
  throw badField(field, `has ${count} entries, at most ${most} are accepted`, { details: { count, most } });
}

/**
 * Characters that texts of a request other than its prompt may have together. Tokenizing them takes the event loop
 * half a microsecond each, and a prompt of 2048 positions has no more.
 */
const mostCharacters = 128 * 1024;

/** @throws EmuError CONTEXT_LENGTH_EXCEEDED for texts that would stop everybody's events while they are tokenized. */
export function checkCharacters(field: string, ...texts: readonly string[]): void {
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  if (characters <= mostCharacters) return;
  throw badField(field, `has ${characters} characters, at most ${mostCharacters} are accepted`, {
    code: 'CONTEXT_LENGTH_EXCEEDED',
    hint: 'Shorten the text, or send fewer of them.',
    details: { characters, most: mostCharacters },
  });
}
