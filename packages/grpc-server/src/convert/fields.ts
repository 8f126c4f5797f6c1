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
