// Writes README.md, curves.svg and runs.json into a model folder, from what `emu eval` saved and the folders of the runs.
//   node tools/model-card.mjs --model models/emu-tiny --eval eval-tiny.json [--notes tried.md]
//        [--after runs.json] [--text-only RUN]... RUN...
// The runs are named in the order of the stages. runs.json keeps what the card tells of them; `--after` names that of a
// model which was trained further, and its runs, both kinds, come first. `--notes` is Markdown on what was tried for missed targets.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { missedTargets, reportMarkdown } from '@emu/eval';
import { parse } from 'yaml';
import { curvesOf, lossCurvesSvg } from './loss-curves.mjs';

/** Settings that name places on the machine of the run. */
const places = new Set(['output_dir', 'from', 'model', 'tokenizer', 'resume_from_checkpoint']);

/** What the card tells of the run in a folder. */
export function readRun(folder) {
  const text = readFileSync(join(folder, 'recipe.yaml'), 'utf8');
  const recipe = parse(text);
  const metrics = readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  const last = metrics.findLast((line) => line.loss !== undefined);
  if (last === undefined) throw new Error(`${folder}/metrics.jsonl has no line with a loss`);
  const settings = [...text.matchAll(/# command line (\S+)/g)].map(([, setting]) => setting);
  return {
    stage: recipe.stage,
    file: basename(/^stage: .*# (\S+?\.ya?ml):/m.exec(text)?.[1] ?? 'recipe.yaml'),
    settings: [...new Set(settings)].filter((setting) => !places.has(setting.split('=')[0])),
    seed: recipe.seed,
    step: last.step,
    steps: recipe.max_steps,
    samples: last.samples,
    tokens: last.tokens,
    seconds: last.seconds,
    losses: Object.fromEntries(Object.entries(last).filter(([name]) => name.startsWith('loss'))),
    curves: curvesOf(metrics),
  };
}

const hours = (seconds) => (seconds / 3600).toFixed(2);
const thousands = (count) => (count === undefined ? '' : Math.round(count).toLocaleString('en-US'));
const lossText = (losses) =>
  Object.entries(losses)
    .map(([name, value]) => `${name} ${value.toPrecision(3)}`)
    .join(', ');

/** The table of training stages. */
export function trainingTable(runs) {
  const rows = runs.map((run) => [
    run.stage,
    `\`recipes/tiny/${run.file}\`${run.settings.length > 0 ? ` with ${run.settings.map((each) => `\`${each}\``).join(' ')}` : ''}`,
    run.seed,
    `${run.step} of ${run.steps}`,
    thousands(run.samples),
    thousands(run.tokens),
    hours(run.seconds),
    lossText(run.losses),
  ]);
  const heads = ['stage', 'recipe', 'seed', 'steps', 'samples', 'tokens', 'hours', 'last losses'];
  return [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesIn(path) : [path];
  });
}

const notOfTheModel = /(?:README\.md|curves\.svg|runs\.json|eval[^/]*\.(?:json|md))$/;

/** Bytes of a model folder without its card. */
function modelBytes(folder) {
  return filesIn(folder)
    .filter((path) => !notOfTheModel.test(path))
    .reduce((sum, path) => sum + statSync(path).size, 0);
}

/** The card. report: what `emu eval` saved; runs and textOnlyRuns: from `readRun`. */
export function modelCard({ name, bytes, report, runs, textOnlyRuns = [], notes = '' }) {
  const total = runs.reduce((sum, { seconds }) => sum + seconds, 0);
  const missed = missedTargets(report);
  return `${[
    `# ${name}`,
    'A small Emu that was trained from nothing with the trainer of this repository, on pictures and texts that the repository ' +
      'draws itself (`@emu/data`). It reads and writes pictures of 64 x 64 pixels with one to three colored shapes, and English ' +
      'sentences about them. Of the world outside it knows nothing.',
    `The folder takes ${(bytes / 1e6).toFixed(1)} MB, tokenizer included. Training took ${hours(total)} hours on 2 CPU cores, by the ` +
      'clock of the logs that are kept.',
    '## Scores',
    `Printed by \`emu eval models/${name} --suite tiny --limit ${report.limit}\`; what each score is stands in ` +
      '[docs/cli.md](../../docs/cli.md#emu-eval).' +
      (report.compare === null
        ? ' No model trained with the text loss alone stands in this table.'
        : ' "text only" is the same model trained for the same steps without the loss on visual embeddings.'),
    reportMarkdown(report).trimEnd(),
    '## Missed targets',
    missed.length === 0
      ? 'None of the targets that were measured.'
      : missed.map((line) => `- ${line}`).join('\n'),
    ...(notes.trim() === '' ? [] : [notes.trim()]),
    '## Training',
    trainingTable(runs),
    ...(textOnlyRuns.length === 0 ? [] : ['With the text loss alone:', trainingTable(textOnlyRuns)]),
    '![Losses over steps](curves.svg)',
    'Another one from nothing, each stage from the folder of the one before (the same command goes on where it was stopped):',
    '    emu train recipes/tiny/*.yaml',
    '## What to know',
    'Scores are of scenes that training never shows. Held-out combinations are eight pairs of color and shape and eight relations ' +
      'of two shapes, listed in `packages/data/src/world/held-out.ts`. Paintings are judged from their pixels by `judgePicture` of ' +
      '`@emu/eval`.',
  ].join('\n\n')}\n`;
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string' },
      eval: { type: 'string' },
      notes: { type: 'string' },
      after: { type: 'string' },
      'text-only': { type: 'string', multiple: true, default: [] },
    },
  });
  const isNamed = positionals.length > 0 || values.after !== undefined;
  if (values.model === undefined || values.eval === undefined || !isNamed) {
    throw new Error('usage: node tools/model-card.mjs --model DIR --eval FILE [--text-only RUN]... RUN...');
  }
  const earlier = values.after === undefined ? {} : JSON.parse(readFileSync(values.after, 'utf8'));
  const runs = [...(earlier.runs ?? []), ...positionals.map(readRun)];
  const textOnlyRuns = [...(earlier.textOnlyRuns ?? []), ...values['text-only'].map(readRun)];
  const card = modelCard({
    name: basename(values.model),
    bytes: modelBytes(values.model),
    report: JSON.parse(readFileSync(values.eval, 'utf8')),
    runs,
    textOnlyRuns,
    notes: values.notes === undefined ? '' : readFileSync(values.notes, 'utf8'),
  });
  const titled = [
    ...runs.map(({ stage, curves }) => ({ title: stage, curves })),
    ...textOnlyRuns.map(({ stage, curves }) => ({ title: `${stage}, text only`, curves })),
  ];
  writeFileSync(join(values.model, 'README.md'), card);
  writeFileSync(join(values.model, 'curves.svg'), lossCurvesSvg(titled));
  writeFileSync(join(values.model, 'runs.json'), `${JSON.stringify({ runs, textOnlyRuns })}\n`);
  console.log(`${values.model}: README.md, curves.svg, runs.json`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
