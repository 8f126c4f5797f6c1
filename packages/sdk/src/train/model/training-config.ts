import { readFile } from 'node:fs/promises';

import { EmuError } from '@emu/program';

import { parseEmuConfig } from '../../initialize/emu-config.js';
import type { EmuConfig } from '../../models/config.js';

/**
 * Sizes of a model to train, from a file such as `models/emu-tiny.json`. A safety checker in it is left out: it is not
 * trained here, and an untrained one would flag at random.
 * @throws EmuError MODEL_NOT_FOUND if there is no such file, INVALID_CONFIG if it is not such a file.
 */
export async function readTrainingConfig(path: string): Promise<EmuConfig> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    const isText = cause instanceof SyntaxError;
    throw new EmuError(
      isText ? 'INVALID_CONFIG' : 'MODEL_NOT_FOUND',
      `[train] ${path} ${isText ? `is not JSON: ${cause.message}` : 'cannot be read'}`,
      { cause, details: { path } },
    );
  }
  return parseEmuConfig(withoutSafetyChecker(json), path);
}

function withoutSafetyChecker(json: unknown): unknown {
  if (!isRecord(json) || !isRecord(json['visualDecoder'])) return json;
  const kept = Object.entries(json['visualDecoder']).filter(([name]) => name !== 'safetyChecker');
  return { ...json, visualDecoder: Object.fromEntries(kept) };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
