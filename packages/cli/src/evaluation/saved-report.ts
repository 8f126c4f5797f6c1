import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { reportMarkdown, scoreKeys, type MeasuredScores, type SuiteReport, type SuiteRun } from '@emu/eval';
import { EmuError } from '@emu/program';

/** A report with what it was made of, so that another run knows which scores still hold. */
export interface SavedReport extends SuiteReport {
  /** Of the weights of model and compared model; the latter null when there is none. */
  readonly fingerprints: { readonly model: string; readonly compare: string | null };
}

/** The JSON file of a report and the Markdown file beside it. */
export function reportFiles(output: string): { readonly json: string; readonly markdown: string } {
  const stem = output.replace(/\.(?:json|md)$/i, '');
  return { json: `${stem}.json`, markdown: `${stem}.md` };
}

/** Writes both files of a report; each is whole at any moment. @throws EmuError INVALID_OPTION if that cannot be. */
export async function saveReport(output: string, report: SavedReport): Promise<void> {
  const { json, markdown } = reportFiles(output);
  await writeWhole(json, `${JSON.stringify(report, null, 2)}\n`);
  await writeWhole(markdown, reportMarkdown(report));
}

async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (error) {
    throw new EmuError('INVALID_OPTION', `[eval] ${path} cannot be written`, {
      hint: 'Name another file with -o.',
      details: { path },
      cause: error,
    });
  }
}

/** Changes when weights, configuration or tokenizer of a model folder do: names, sizes and times of its files. */
export async function modelFingerprint(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const path of await weightFiles(folder)) {
    const { size, mtimeMs } = await stat(path);
    hash.update(`${path.slice(folder.length)}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

const isPartOfModel = /\.(?:safetensors|bin|pt|model)$|config\.json$|tokenizer\.json$/;

async function weightFiles(folder: string, depth = 0): Promise<readonly string[]> {
  // A model may also be one file; then its folder cannot be read and the file is what counts.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return [folder];
  const files: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth < 2) files.push(...(await weightFiles(path, depth + 1)));
    else if (entry.isFile() && isPartOfModel.test(entry.name)) files.push(path);
  }
  return files;
}

/** Scores of an earlier run that still hold: of the same weights, samples and way of painting. */
export interface KnownScores {
  readonly own: MeasuredScores;
  readonly compared: MeasuredScores;
}

/** Reads what an earlier run left. A file that is missing, damaged or of another run yields no scores. */
export async function knownScores(
  output: string,
  run: SuiteRun,
  fingerprints: SavedReport['fingerprints'],
): Promise<KnownScores> {
  const nothing = { own: {}, compared: {} };
  const saved = parsed(await readFile(reportFiles(output).json, 'utf8').catch(() => ''));
  if (saved === undefined) return nothing;
  const sameSettings = (['suite', 'limit', 'seed', 'steps', 'guidanceScale'] as const).every(
    (key) => saved[key] === run[key],
  );
  const prints = saved['fingerprints'];
  if (!sameSettings || !isRecord(prints) || prints['model'] !== fingerprints.model) return nothing;
  // Distances of the compared model are measured in the features of the first.
  const sameCompared = prints['compare'] !== null && prints['compare'] === fingerprints.compare;
  const details = isRecord(saved['details']) ? saved['details'] : {};
  return {
    own: scoresIn(details, ''),
    compared: sameCompared ? scoresIn(details, '_text_only') : {},
  };
}

function scoresIn(details: Readonly<Record<string, unknown>>, suffix: string): MeasuredScores {
  const entries = scoreKeys.flatMap((key) => {
    const line = details[`${key}${suffix}`];
    if (!isEstimate(line)) return [];
    const { value, low, high, count } = line;
    const parts = isRecord(line['parts'])
      ? Object.fromEntries(Object.entries(line['parts']).filter(([, part]) => isEstimate(part)))
      : undefined;
    return [[key, { value, low, high, count, ...(parts && { parts }) }] as const];
  });
  return Object.fromEntries(entries);
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

type EstimateRecord = Readonly<Record<string, unknown>> & {
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly count: number;
};

function isEstimate(value: unknown): value is EstimateRecord {
  if (!isRecord(value)) return false;
  const isBound = (bound: unknown): boolean => bound === null || Number.isFinite(bound);
  return (
    Number.isFinite(value['value']) &&
    Number.isInteger(value['count']) &&
    isBound(value['low']) &&
    isBound(value['high'])
  );
}
