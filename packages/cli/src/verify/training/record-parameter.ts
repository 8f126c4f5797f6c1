import type { Goldens } from '../goldens.js';
import type { Recorder } from '../recorder.js';

/* Goldens of large parameters hold a part of them: norms, chosen rows, the first elements. */

const headLength = 128;

/** Where the parameters of one kind are recorded: `grad.` in `training.safetensors`, say. */
export interface ParameterGoldens {
  readonly goldens: Goldens;
  readonly recorder: Recorder;
  readonly file: string;
  readonly prefix: string;
  /** Rows of token tables that are stored. */
  readonly touchedRows: readonly number[];
}

/** Compares one parameter's values with what the folder holds of them, and keeps them for the dump. */
export async function recordParameter(
  place: ParameterGoldens,
  name: string,
  shape: readonly number[],
  values: Float32Array,
): Promise<void> {
  const { goldens, recorder, file, prefix, touchedRows } = place;
  const whole = prefix + name;
  const parts = ['norm', 'rows', 'rows_norm', 'head'].filter((part) =>
    goldens.entry(file, `${whole}.${part}`),
  );
  if (parts.length === 0) {
    await recorder.floats(file, whole, shape, values);
    return;
  }
  const width = shape.at(-1) ?? 1;
  const rows = touchedRows.map((row) => values.subarray(row * width, (row + 1) * width));
  for (const part of parts) {
    const golden = `${whole}.${part}`;
    if (part === 'norm') await recorder.floats(file, golden, [1], Float32Array.of(lengthOf(values)));
    if (part === 'head') await recorder.floats(file, golden, [headLength], values.slice(0, headLength));
    if (part === 'rows_norm')
      await recorder.floats(file, golden, [rows.length], Float32Array.from(rows, lengthOf));
    if (part !== 'rows') continue;
    const joined = new Float32Array(rows.length * width);
    for (const [index, row] of rows.entries()) joined.set(row, index * width);
    await recorder.floats(file, golden, [rows.length, width], joined);
  }
}

function lengthOf(values: Float32Array): number {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares);
}
