import type { Terminal } from './terminal.js';
import { writeJson } from './terminal.js';

export const progressModes = ['auto', 'bar', 'plain', 'json', 'none'] as const;
export type ProgressMode = (typeof progressModes)[number];

/** A report of long work, as the SDK's onProgress gives it. */
export interface ProgressReport {
  readonly phase: string;
  readonly completed: number;
  readonly total: number;
  readonly unit: string;
  readonly etaSeconds?: number | undefined;
  /** What else there is to know, such as the loss; after the amounts. */
  readonly detail?: string;
}

const plainIntervalMs = 10_000;
const barIntervalMs = 100;
const barWidth = 24;

/** Shows progress on stderr: a bar where a person watches, else at most one line per ten seconds. */
export class ProgressDisplay {
  readonly #terminal: Terminal;
  readonly #mode: Exclude<ProgressMode, 'auto'>;
  #phase: string | undefined;
  #phaseShown = false;
  #lastMs = -Infinity;
  #barShown = false;

  constructor(terminal: Terminal, mode: ProgressMode) {
    this.#terminal = terminal;
    this.#mode = mode === 'auto' ? (terminal.isInteractive ? 'bar' : 'plain') : mode;
  }

  show(report: ProgressReport): void {
    if (this.#mode === 'none' || !this.#isDue(report)) return;
    const { stderr } = this.#terminal;
    if (this.#mode === 'json') writeJson(stderr, { type: 'progress', ...report });
    else if (this.#mode === 'plain') stderr.write(`${progressText(report)}\n`);
    else {
      // A line that wraps could not be taken back.
      const columns = 'columns' in stderr && typeof stderr.columns === 'number' ? stderr.columns : Infinity;
      stderr.write(`\r\u001b[K${`${bar(report)} ${progressText(report)}`.slice(0, columns - 1)}`);
      this.#barShown = true;
    }
  }

  #isDue({ phase, completed, total }: ProgressReport): boolean {
    const now = performance.now();
    const isPlain = this.#mode === 'plain';
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#phaseShown = false;
      // The first plain line of a phase is due after its interval, the first of the others at once.
      this.#lastMs = isPlain ? now : -Infinity;
    }
    const isDone = completed >= total;
    const isDue = now - this.#lastMs >= (isPlain ? plainIntervalMs : barIntervalMs);
    // Work that ends before the first plain line was due needs no line.
    if (!isDue && !(isDone && (!isPlain || this.#phaseShown))) return false;
    this.#lastMs = now;
    this.#phaseShown = true;
    return true;
  }

  /** Takes the bar away, so that other lines can follow. */
  clear(): void {
    if (this.#barShown) this.#terminal.stderr.write('\r\u001b[K');
    this.#barShown = false;
  }
}

function bar({ completed, total }: ProgressReport): string {
  const filled = total > 0 ? Math.round((Math.min(completed, total) / total) * barWidth) : 0;
  return `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}]`;
}

/** `loading weights 120 MB of 4.1 GB, 12 s left` */
export function progressText(report: ProgressReport): string {
  const { phase, completed, total, unit, etaSeconds, detail } = report;
  const amounts =
    unit === 'bytes' ? `${bytesText(completed)} of ${bytesText(total)}` : `${completed} of ${total} ${unit}`;
  const more = detail === undefined ? '' : `, ${detail}`;
  const left = etaSeconds === undefined ? '' : `, ${timeText(etaSeconds)} left`;
  return `${phase} ${amounts}${more}${left}`;
}

/** Whole seconds, minutes from two minutes on, hours from two hours on. */
function timeText(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  return seconds < 7200 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Bytes in decimal units: `4.1 GB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit] ?? 'B'}`;
}
