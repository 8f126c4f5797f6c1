import { corrupt } from './checkpoint-error.js';
import { readSmallFile } from './node-file.js';

const configLimitBytes = 1 << 24;

/**
 * Reads a JSON file of a model folder that must hold an object.
 * @throws EmuError MODEL_NOT_FOUND, CHECKPOINT_CORRUPT
 */
export async function readJsonObject(path: string): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readSmallFile(path, configLimitBytes);
  const place = { reader: 'weights', path };
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw corrupt(place, `is not valid JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw corrupt(place, 'must hold a JSON object');
  }
  return value as Readonly<Record<string, unknown>>;
}
