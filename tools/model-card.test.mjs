import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { suiteReport } from '@emu/eval';
import { lossCurvesSvg } from './loss-curves.mjs';
import { modelCard, readRun } from './model-card.mjs';

/** A run folder with a recipe as it is resolved and a log of three lines. */
function withRun(body) {
  const folder = mkdtempSync(join(tmpdir(), 'emu-card-'));
  try {
    const recipe = [
      'stage: unified # recipes/tiny/5-unified.yaml:3:8',
      'output_dir: /somewhere/runs # command line output_dir=/somewhere/runs',
      'seed: 20232 # 5-unified.yaml:5:7',
      'max_steps: 3600 # command line max_steps=3600',
    ];
    writeFileSync(join(folder, 'recipe.yaml'), `${recipe.join('\n')}\n`);
    const lines = [
      { step: 20, loss: 6, 'loss.text': 5, 'loss.visual': 1, samples: 10, tokens: 100, seconds: 30 },
      { step: 40, eval_loss: 4 },
      {
        step: 40,
        loss: 3,
        'loss.text': 2.5,
        'loss.visual': 0.5,
        samples: 20_000,
        tokens: 200,
        seconds: 7200,
      },
    ];
    writeFileSync(join(folder, 'metrics.jsonl'), `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
    return body(readRun(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const run = { suite: 'tiny', model: 'm', compare: null, limit: 10, seed: 1, steps: 20, guidanceScale: null };
const report = suiteReport(run, { vqa_accuracy: { value: 0.5, low: 0.4, high: 0.6, count: 10 } }, null);

test('the card gives recipe, seed, steps, hours and every missed target, and no place of the machine', () => {
  withRun((read) => {
    const card = modelCard({
      name: 'emu-tiny',
      bytes: 19_900_000,
      report,
      runs: [read],
      notes: 'Tried: more steps.',
    });
    for (const words of [
      'takes 19.9 MB',
      'took 2.00 hours',
      '| unified | `recipes/tiny/5-unified.yaml` with `max_steps=3600` | 20232 | 40 of 3600 | 20,000 | 200 | 2.00 |',
      'loss 3.00, loss.text 2.50, loss.visual 0.500',
      '- vqa_accuracy is 0.500, should be at least 0.95',
      'Tried: more steps.',
      '16 of 17 scores were not measured.',
      '![Losses over steps](curves.svg)',
      '    emu train recipes/tiny/*.yaml',
    ])
      assert.ok(card.includes(words), words);
    assert.ok(!card.includes('/somewhere'));
  });
});

test('curves are lines for each loss that has several points', () => {
  withRun(({ curves }) => {
    const svg = lossCurvesSvg([{ title: 'a < b', curves }]);
    assert.equal(svg.match(/<polyline/g).length, 3);
    assert.match(svg, /a &lt; b/);
    assert.match(svg, />40<\/text>/);
  });
});
