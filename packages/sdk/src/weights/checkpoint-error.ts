import { EmuError, type EmuErrorOptions } from '@emu/program';

/** Where a problem was found: the reader that found it (`safetensors`, `zip`, `pickle`, ...) and the file. */
export interface FilePlace {
  readonly reader: string;
  readonly path: string;
}

const shownCharacters = 160;

/** Text from a file as it may stand in a message: quoted, control characters escaped, cut at 160 characters. */
export function quoted(text: string): string {
  if (text.length <= shownCharacters) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, shownCharacters))} (${text.length} characters)`;
}

function fileError(
  code: 'CHECKPOINT_CORRUPT' | 'CHECKPOINT_UNSAFE' | 'MODEL_NOT_FOUND',
  place: FilePlace,
  problem: string,
  options: EmuErrorOptions,
): EmuError {
  return new EmuError(code, `[${place.reader}] ${place.path}: ${problem}`, {
    ...options,
    details: { path: place.path, ...options.details },
  });
}

/** The file breaks a rule of its format, or uses a part of it that we cannot represent. */
export function corrupt(place: FilePlace, problem: string, options: EmuErrorOptions = {}): EmuError {
  return fileError('CHECKPOINT_CORRUPT', place, problem, options);
}

/** Reading the file as its writer meant it would run code from the file; nothing of it was run. */
export function unsafe(place: FilePlace, problem: string, options: EmuErrorOptions = {}): EmuError {
  return fileError('CHECKPOINT_UNSAFE', place, problem, {
    hint: 'Convert the file on a machine that trusts it: safetensors.torch.save_file(state_dict, "model.safetensors").',
    ...options,
  });
}

/** The file or folder is absent, or is not something that can hold a model. */
export function notFound(place: FilePlace, problem: string, options: EmuErrorOptions = {}): EmuError {
  return fileError('MODEL_NOT_FOUND', place, problem, options);
}
