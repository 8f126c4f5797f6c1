import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeFileAtomically } from '../../weights/atomic-file.js';
import { metricsFile } from '../run-folder/run-logs.js';
import { readSamples } from '../run-folder/sample-files.js';
import { reportHtml } from './report-html.js';

export const reportFile = 'report.html';

/**
 * Writes report.html from what lies in a run folder, so it can be made for a run that was stopped, too.
 * @throws EmuError OUT_OF_MEMORY, INVALID_OPTION if the file cannot be written.
 */
export async function writeReport(folder: string, title: string): Promise<void> {
  const html = reportHtml({
    title,
    metrics: await readMetrics(join(folder, metricsFile)),
    samples: await readSamples(folder),
    recipe: await readFile(join(folder, 'recipe.yaml'), 'utf8').catch(() => ''),
  });
  await writeFileAtomically(join(folder, reportFile), (put) => put(new TextEncoder().encode(html)));
}

/** The lines of metrics.jsonl; a last one that a killed process left half written is passed over. */
export async function readMetrics(path: string): Promise<readonly Readonly<Record<string, number>>[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as Record<string, number>];
    } catch {
      return [];
    }
  });
}
