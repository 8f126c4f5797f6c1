import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Emu } from '@emu/sdk';
import { initializeCheckpoint, parseEmuConfig } from '@emu/sdk/initialize';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { reportMarkdown, reportText, suiteReport, type SuiteRun } from './report.js';
import { meetsTarget, scoreKeys, type MeasuredScores } from './score.js';
import { checkedScores, runSuite } from './suite.js';

const models = join(import.meta.dirname, '../../../../models');
let folder = '';
let emu: Emu;

/** emu-tiny with fewer layers and no training. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-eval-'));
  const tiny = JSON.parse(await readFile(join(models, 'emu-tiny.json'), 'utf8')) as {
    visual: object;
    llama: object;
  };
  const config = {
    ...tiny,
    visual: { ...tiny.visual, layers: 1 },
    llama: { ...tiny.llama, layers: 1 },
  };
  await initializeCheckpoint({
    config: parseEmuConfig(config, 'tiny'),
    tokenizerFolder: join(models, 'tokenizer-drawn'),
    seed: 3,
    to: folder,
  });
  emu = await Emu.fromPretrained(folder, { threads: 1 });
});
afterAll(async () => {
  await emu.dispose();
  await rm(folder, { recursive: true, force: true });
});

const run: SuiteRun = {
  suite: 'tiny',
  model: 'models/emu-tiny',
  compare: 'text-only',
  limit: 3,
  seed: 1,
  steps: 1,
  guidanceScale: null,
};

describe('runSuite', () => {
  it('measures every score of an untrained model, and each is what chance or nothing gives', async () => {
    const seen: string[] = [];
    const scores = await runSuite(emu, {
      limit: 3,
      steps: 1,
      onProgress: ({ test, completed, total }) => {
        if (completed === total) seen.push(test);
      },
    });
    expect(Object.keys(scores).sort()).toEqual([...scoreKeys].sort());
    expect(seen).toHaveLength(new Set(seen).size);
    for (const key of scoreKeys) {
      const { value, count } = scores[key] ?? { value: NaN, count: 0 };
      expect(Number.isFinite(value) && count > 0, key).toBe(true);
    }
    expect(scores.vqa_accuracy?.value).toBe(0);
    expect(scores.t2i_single_accuracy?.value).toBe(0);
    expect(scores.t2i_frechet?.value).toBeGreaterThan(0);
  });

  it('runs only what was asked for and is not known; the same seed gives the same scores', async () => {
    const known = { video_qa_accuracy: { value: 0.5, low: null, high: null, count: 9 } };
    const options = { limit: 2, only: ['video_qa_accuracy', 'caption_cider'], known };
    const first = await runSuite(emu, options);
    expect(Object.keys(first)).toEqual(['video_qa_accuracy', 'caption_attribute_f1', 'caption_cider']);
    expect(first.video_qa_accuracy).toBe(known.video_qa_accuracy);
    expect(await runSuite(emu, options)).toEqual(first);
  });

  it('names the nearest score, and refuses limits that cannot be', async () => {
    expect(() => checkedScores(['vqa_acuracy'])).toThrow('there is no score "vqa_acuracy"');
    expect(checkedScores(['vqa_accuracy_text_only'])).toEqual(['vqa_accuracy']);
    await expect(runSuite(emu, { limit: 0 })).rejects.toThrow('limit must be a whole number');
  });

  it('asks every kind of question, and paints held-out scenes of one and of two objects', async () => {
    const only = ['vqa_heldout_accuracy', 't2i_heldout_accuracy'];
    const scores = await runSuite(emu, { limit: 5, steps: 1, only });
    const kinds = Object.entries(scores.vqa_heldout_accuracy?.parts ?? {});
    expect(kinds.map(([kind, { count }]) => [kind, count])).toEqual(
      ['color', 'count', 'existence', 'relation', 'shape'].map((kind) => [kind, 1]),
    );
    const { parts = {} } = scores.t2i_heldout_accuracy ?? {};
    expect([parts['one object']?.count ?? 0, parts['two objects']?.count ?? 0].sort()).toEqual([1, 2]);
  });

  it('stops when the signal says so', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(runSuite(emu, { limit: 2, only: ['vqa_accuracy'], signal })).rejects.toThrow('enough');
  });
});

describe('the report', () => {
  const own: MeasuredScores = {
    vqa_accuracy: {
      value: 0.9,
      low: 0.85,
      high: 0.94,
      count: 200,
      parts: { color: { value: 1, low: 0.9, high: 1, count: 40 } },
    },
    fewshot_accuracy_0: { value: 0.1, low: 0.05, high: 0.2, count: 200 },
    fewshot_accuracy_2: { value: 0.5, low: 0.4, high: 0.6, count: 200 },
  };

  it('has every key of both models, null for what was not measured', () => {
    const { scores, details } = suiteReport(run, own, {
      vqa_accuracy: { value: 0.7, low: null, high: null, count: 2 },
    });
    expect(Object.keys(scores)).toEqual([...scoreKeys, ...scoreKeys.map((key) => `${key}_text_only`)]);
    expect(scores).toMatchObject({ vqa_accuracy: 0.9, vqa_accuracy_text_only: 0.7, t2i_frechet: null });
    expect(details['vqa_accuracy']).toMatchObject({ target: 'at least 0.95', met: false });
    expect(details['t2i_frechet']).toMatchObject({ target: 'below t2i_frechet_shuffled', met: null });
  });

  it('marks and names missed targets', () => {
    const report = suiteReport({ ...run, compare: null }, own, null);
    const text = reportText(report);
    expect(text).toMatch(
      /vqa_accuracy +0\.900 +0\.850 to 0\.940 +200 +at least 0\.95 +MISSED\n {2}color +1\.000/,
    );
    expect(text).toMatch(/fewshot_accuracy_2 .* above fewshot_accuracy_0 +met/);
    expect(text).toContain('Missed: vqa_accuracy is 0.900, should be at least 0.95.');
    expect(text).toContain('14 of 17 scores were not measured.');
    expect(reportMarkdown(report)).toContain('| &emsp;color | 1.000 |');
  });

  it('compares scores that have to lie above or below others', () => {
    expect(meetsTarget('fewshot_accuracy_2', own)).toBe(true);
    expect(meetsTarget('fewshot_accuracy_4', own)).toBeNull();
    expect(meetsTarget('caption_cider', own)).toBeNull();
  });
});
