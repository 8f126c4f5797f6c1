import { Readable, Writable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  bytesText,
  ProgressDisplay,
  progressText,
  type ProgressMode,
  type ProgressReport,
} from './progress.js';
import type { Terminal } from './terminal.js';

/** What stderr gets when reports come, each after some milliseconds. */
function shown(mode: ProgressMode, reports: readonly (readonly [number, Partial<ProgressReport>])[]): string {
  let text = '';
  const stderr = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  const terminal: Terminal = {
    stdout: stderr,
    stderr,
    stdin: Readable.from([]),
    isInteractive: false,
    environment: {},
    signal: new AbortController().signal,
  };
  const display = new ProgressDisplay(terminal, mode);
  for (const [afterMs, report] of reports) {
    vi.advanceTimersByTime(afterMs);
    display.show({ phase: 'load', completed: 0, total: 10, unit: 'steps', ...report });
  }
  return text;
}

describe('progress', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('plain lines come at most every 10 s, and not at all for short work', () => {
    const short = [1, 2, 10].map((completed) => [100, { completed }] as const);
    expect(shown('auto', short)).toBe('');
    const long = [0, 1, 2, 3, 10].map((completed) => [6000, { completed }] as const);
    expect(shown('plain', long)).toBe('load 2 of 10 steps\nload 10 of 10 steps\n');
    const next = [...long, [0, { phase: 'paint' }], [9000, { phase: 'paint', completed: 10 }]] as const;
    expect(shown('plain', next)).toBe('load 2 of 10 steps\nload 10 of 10 steps\n');
  });

  it('the bar moves ten times a second, JSON has one object per report', () => {
    const reports = [0, 1, 2, 3, 10].map((completed) => [60, { completed, etaSeconds: 1.5 }] as const);
    expect(shown('bar', reports).split('\r').length - 1).toBe(3); // at 60, 180 and 300 ms
    expect(shown('bar', reports)).toContain('[########################] load 10 of 10 steps, 2 s left');
    expect(shown('json', reports).split('\n')[0]).toBe(
      '{"type":"progress","phase":"load","completed":0,"total":10,"unit":"steps","etaSeconds":1.5}',
    );
    expect(shown('none', reports)).toBe('');
  });

  it('details stand between amounts and time, which grows to minutes and hours', () => {
    const text = (etaSeconds: number): string =>
      progressText({
        phase: 'training',
        completed: 3,
        total: 9,
        unit: 'steps',
        etaSeconds,
        detail: 'loss 2.5',
      });
    expect(text(119.2)).toBe('training 3 of 9 steps, loss 2.5, 120 s left');
    expect(text(121)).toBe('training 3 of 9 steps, loss 2.5, 3 min left');
    expect(text(9000)).toBe('training 3 of 9 steps, loss 2.5, 2.5 h left');
  });

  it('bytes are written with three digits', () => {
    expect([0, 999, 1000, 4_123_456_789, 2e15].map(bytesText)).toEqual([
      '0 B',
      '999 B',
      '1.00 kB',
      '4.12 GB',
      '2.00e+3 TB',
    ]);
  });
});
