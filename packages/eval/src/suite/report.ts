import {
  describeScore,
  meetsTarget,
  scoreKeys,
  type Estimate,
  type MeasuredScore,
  type MeasuredScores,
  type ScoreKey,
} from './score.js';

/** What a suite was run on, and how. */
export interface SuiteRun {
  readonly suite: 'tiny';
  readonly model: string;
  readonly compare: string | null;
  readonly limit: number;
  readonly seed: number;
  readonly steps: number;
  readonly guidanceScale: number | null;
}

/** One line of the table, as JSON. */
export interface ScoreLine extends Partial<MeasuredScore> {
  readonly title: string;
  /** `at least 0.95`, or empty. */
  readonly target: string;
  readonly met: boolean | null;
}

/** A suite's result as it is saved: `scores` has every key, null for what was not measured. */
export interface SuiteReport extends SuiteRun {
  readonly scores: Readonly<Record<string, number | null>>;
  readonly details: Readonly<Record<string, ScoreLine>>;
}

const suffix = '_text_only';

/** The report of a model, and of the one compared with it. */
export function suiteReport(
  run: SuiteRun,
  own: MeasuredScores,
  compared: MeasuredScores | null,
): SuiteReport {
  const sides = [
    { end: '', scores: own },
    ...(run.compare === null ? [] : [{ end: suffix, scores: compared ?? {} }]),
  ];
  const entries = sides.flatMap(({ end, scores }) =>
    scoreKeys.map((key) => ({ key, name: `${key}${end}`, scores })),
  );
  return {
    ...run,
    scores: Object.fromEntries(entries.map(({ key, name, scores }) => [name, scores[key]?.value ?? null])),
    details: Object.fromEntries(
      entries.map(({ key, name, scores }): [string, ScoreLine] => [
        name,
        {
          title: describeScore(key).title,
          ...scores[key],
          target: targetText(key),
          met: meetsTarget(key, scores),
        },
      ]),
    ),
  };
}

/** The target in words. */
export function targetText(key: ScoreKey): string {
  const { target } = describeScore(key);
  if (target === null) return '';
  if (target.kind === 'at-least') return `at least ${target.value}`;
  return `${target.kind} ${target.score}`;
}

function numberText(value: number): string {
  return value.toFixed(3);
}

function intervalText({ low, high }: Partial<Estimate>): string {
  return low === null || high === null || low === undefined || high === undefined
    ? ''
    : `${numberText(low)} to ${numberText(high)}`;
}

interface Row {
  readonly cells: readonly string[];
}

/** The rows of the table; parts of a score stand below it, indented. */
function rowsOf({ details, compare }: SuiteReport): readonly Row[] {
  return scoreKeys.flatMap((key) => {
    const line = details[key];
    if (line === undefined) return [];
    const other = compare === null ? [] : [shown(details[`${key}${suffix}`])];
    const verdict = line.met === null ? '' : line.met ? 'met' : 'MISSED';
    const whole = [key, shown(line), intervalText(line), countText(line), ...other, line.target, verdict];
    const parts = Object.entries(line.parts ?? {}).map(([name, part]) => [
      `  ${name}`,
      numberText(part.value),
      intervalText(part),
      countText(part),
      ...(compare === null ? [] : [shown(details[`${key}${suffix}`]?.parts?.[name])]),
      '',
      '',
    ]);
    return [whole, ...parts].map((cells) => ({ cells }));
  });
}

function shown(line: { readonly value?: number } | undefined): string {
  return line?.value === undefined ? '-' : numberText(line.value);
}

function countText({ count }: { readonly count?: number }): string {
  return count === undefined ? '' : String(count);
}

function headings({ compare }: SuiteReport): readonly string[] {
  const other = compare === null ? [] : ['text only'];
  return ['score', 'value', '95 % interval', 'samples', ...other, 'target', ''];
}

/** Missed targets in words, in the order of the table. */
export function missedTargets({ details }: SuiteReport): readonly string[] {
  return scoreKeys.flatMap((key) => {
    const line = details[key];
    return line?.met === false ? [`${key} is ${shown(line)}, should be ${line.target}`] : [];
  });
}

function summary(report: SuiteReport): string {
  const missed = missedTargets(report);
  const measured = scoreKeys.filter((key) => report.scores[key] !== null).length;
  const open = scoreKeys.length - measured;
  const notMeasured = open === 0 ? '' : ` ${open} of ${scoreKeys.length} scores were not measured.`;
  return missed.length === 0
    ? `No target is missed.${notMeasured}`
    : `Missed: ${missed.join('; ')}.${notMeasured}`;
}

/** The table for a terminal. */
export function reportText(report: SuiteReport): string {
  const rows = [headings(report), ...rowsOf(report).map(({ cells }) => cells)];
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [...lines, '', summary(report)].join('\n');
}

/** The table as Markdown. */
export function reportMarkdown(report: SuiteReport): string {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replace(/^ {2}/, '&emsp;')).join(' | ')} |`;
  const heads = headings(report);
  const { limit, steps, seed, guidanceScale } = report;
  const guidance = guidanceScale === null ? "the model's" : String(guidanceScale);
  return [
    row(heads),
    row(heads.map(() => '---')),
    ...rowsOf(report).map(({ cells }) => row(cells)),
    '',
    summary(report),
    '',
    `Suite tiny, seed ${seed}, ${limit} samples per score of texts and ${Math.ceil(limit / 2)} per score of paintings,` +
      ` ${steps} denoising steps, guidance ${guidance}. Greedy search. Scenes of no training split.`,
    '',
  ].join('\n');
}
