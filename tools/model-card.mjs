// Writes README.md and curves.svg into a model folder, from what `emu eval` saved and the folders of the training runs.
//   node tools/model-card.mjs --model models/emu-tiny --eval eval-tiny.json [--notes tried.md]
//        [--text-only RUN]... RUN...
// The runs are named in the order of the stages. `--notes` is Markdown on what was tried for targets that are missed.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { missedTargets, reportMarkdown } from '@emu/eval';
import { parse } from 'yaml';
import { lossCurvesSvg } from './loss-curves.mjs';

/** Settings that name places on the machine of the run. */
const places = new Set(['output_dir', 'from', 'model', 'tokenizer', 'resume_from_checkpoint']);

/** What a run folder says of its run. */
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
    recipe,
    metrics,
    last,
    file: /^stage: .*# (\S+?\.ya?ml):/m.exec(text)?.[1] ?? 'recipe.yaml',
    settings: [...new Set(settings)].filter((setting) => !places.has(setting.split('=')[0])),
  };
}

const hours = (seconds) => (seconds / 3600).toFixed(2);
const thousands = (count) => (count === undefined ? '' : Math.round(count).toLocaleString('en-US'));
const lossText = (last) =>
  Object.entries(last)
    .filter(([name]) => name.startsWith('loss'))
    .map(([name, value]) => `${name} ${value.toPrecision(3)}`)
    .join(', ');

/** The table of training stages. */
export function trainingTable(runs) {
  const rows = runs.map(({ recipe, last, file, settings }) => [
    recipe.stage,
    `\`recipes/tiny/${file}\`${settings.length > 0 ? ` with ${settings.map((each) => `\`${each}\``).join(' ')}` : ''}`,
    recipe.seed,
    `${last.step} of ${recipe.max_steps}`,
    thousands(last.samples),
    thousands(last.tokens),
    hours(last.seconds),
    lossText(last),
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

const notOfTheModel = /(?:README\.md|curves\.svg|eval[^/]*\.(?:json|md))$/;

/** Bytes of a model folder without its card. */
function modelBytes(folder) {
  return filesIn(folder)
    .filter((path) => !notOfTheModel.test(path))
    .reduce((sum, path) => sum + statSync(path).size, 0);
}

/** The card. report: what `emu eval` saved; runs and textOnlyRuns: from `readRun`. */
export function modelCard({ name, bytes, report, runs, textOnlyRuns = [], notes = '' }) {
  const total = runs.reduce((sum, { last }) => sum + last.seconds, 0);
  const missed = missedTargets(report);
  const names = [...new Set(runs.map(({ file }) => file))];
  return `${[
    `# ${name}`,
    'A small Emu that was trained from nothing with the trainer of this repository, on pictures and texts that the repository ' +
      'draws itself (`@emu/data`). It reads and writes pictures of 64 x 64 pixels with one to three colored shapes, and English ' +
      'sentences about them. Of the world outside it knows nothing.',
    `The folder takes ${(bytes / 1e6).toFixed(1)} MB, tokenizer included. Training took ${hours(total)} hours on 2 CPU cores, by the ` +
      "clock of the runs' logs.",
    '## Scores',
    `Printed by \`emu eval models/${name} --suite tiny --limit ${report.limit}\`; what each score is stands in ` +
      '[docs/cli.md](../../docs/cli.md#emu-eval).' +
      (report.compare === null
        ? ' A model trained with the text loss alone was not measured beside it.'
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
    'Again from nothing, each stage from the folder of the one before:',
    names.map((file) => `    emu train recipes/tiny/${file}`).join('\n'),
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
      'text-only': { type: 'string', multiple: true, default: [] },
    },
  });
  if (values.model === undefined || values.eval === undefined || positionals.length === 0) {
    throw new Error('usage: node tools/model-card.mjs --model DIR --eval FILE [--text-only RUN]... RUN...');
  }
  const runs = positionals.map(readRun);
  const textOnlyRuns = values['text-only'].map(readRun);
  const card = modelCard({
    name: basename(values.model),
    bytes: modelBytes(values.model),
    report: JSON.parse(readFileSync(values.eval, 'utf8')),
    runs,
    textOnlyRuns,
    notes: values.notes === undefined ? '' : readFileSync(values.notes, 'utf8'),
  });
  const titled = [
    ...runs.map((run) => ({ title: run.recipe.stage, metrics: run.metrics })),
    ...textOnlyRuns.map((run) => ({ title: `${run.recipe.stage}, text only`, metrics: run.metrics })),
  ];
  writeFileSync(join(values.model, 'README.md'), card);
  writeFileSync(join(values.model, 'curves.svg'), lossCurvesSvg(titled));
  console.log(`${values.model}: README.md, curves.svg`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
