import {
  checkedScores,
  reportText,
  runSuite,
  scoreKeys,
  suiteDefaults,
  suiteReport,
  suiteSeed,
  type MeasuredScores,
  type SuiteRun,
} from '@emu/eval';
import type { Emu } from '@emu/sdk';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';

import {
  commaList,
  commandContext,
  number,
  oneOf,
  withCommonFlags,
  type CommandContext,
} from '../context.js';
import { environmentValue } from '../environment.js';
import { knownScores, modelFingerprint, reportFiles, saveReport } from '../evaluation/saved-report.js';
import type { Terminal } from '../terminal.js';
import { withModel, withRunFlags, type ModelFlags } from './model-flags.js';

interface EvalFlags extends ModelFlags {
  readonly suite: 'tiny';
  readonly limit: number;
  readonly steps: number;
  readonly seed: number;
  readonly guidanceScale?: number;
  readonly only: readonly (readonly string[])[];
  readonly compare?: string | false;
  readonly output: string;
  readonly fresh?: boolean;
}

/** The model of a checkout. */
const ownModel = 'models/emu-tiny';

/** What is measured beside a model unless something else is asked for: the folder of this name beside its own. */
function textOnlyBeside(model: string): string | undefined {
  const folder = `${model.replace(/[/\\]+$/, '')}-text-only`;
  return existsSync(join(folder, 'config.json')) ? folder : undefined;
}

const help = `
Measures captions, answers, paintings, blends and learning from examples on scenes that training never shows, with
95 % intervals, and compares each score with its target. The result is saved as JSON and Markdown after every test; the
same command goes on where it was stopped. Where MODEL-text-only lies beside MODEL, it is measured too.

Scores: ${scoreKeys.join(', ')}

Examples:
  emu eval models/emu-tiny --suite tiny
  emu eval models/emu-tiny --suite tiny --only vqa_accuracy,t2i_single_accuracy --limit 50
  emu eval models/emu-tiny --suite tiny --compare out/text-only/model -o card.json`;

export function addEval(program: Command, terminal: Terminal): void {
  withRunFlags(withCommonFlags(program.command('eval')))
    .argument('[model]', `model folder (default: EMU_MODEL, else ${ownModel})`)
    .description('measure a model and print a table of its scores')
    .option('--suite <name>', 'which scores: tiny', oneOf(['tiny']), 'tiny')
    .option('--limit <number>', 'samples per score; half as many paintings', number, suiteDefaults.limit)
    .option(
      '--only <scores...>',
      'only these scores, separated by commas or spaces',
      (value: string, before: readonly (readonly string[])[]) => [...before, commaList(value)],
      [],
    )
    .option(
      '--compare <dir>',
      'a second model, trained with the text loss alone: scores NAME_text_only (default: MODEL-text-only if it is there)',
    )
    .option('--no-compare', 'measure the one model')
    .option('--steps <number>', 'denoising steps of a painting', number, suiteDefaults.steps)
    .option('--guidance-scale <number>', "weight of guidance (the model's)", number)
    .option('--seed <number>', 'seed of samples and paintings', number, suiteSeed)
    .option('-o, --output <file>', 'where the result is saved; FILE.json and FILE.md', 'eval-tiny.json')
    .option('--fresh', 'measure again what is saved already')
    .addHelpText('after', help)
    .action(async (named: string | undefined, flags: EvalFlags) => {
      const context = commandContext(terminal, flags);
      const model = named ?? environmentValue(terminal, 'EMU_MODEL') ?? ownModel;
      if (flags.only.length > 0) checkedScores(flags.only.flat());
      await withModel(context, { ...flags, model }, async (emu) => {
        const compare = flags.compare === false ? undefined : (flags.compare ?? textOnlyBeside(model));
        if (compare === undefined) return evaluate(context, flags, { model, emu });
        return withModel(context, { ...flags, model: compare }, (other) =>
          evaluate(context, flags, { model, emu }, { model: compare, emu: other }),
        );
      });
    });
}

/** A model and where it lies. */
interface Side {
  readonly model: string;
  readonly emu: Emu;
}

async function evaluate(
  context: CommandContext,
  flags: EvalFlags,
  { model, emu }: Side,
  other?: Side,
): Promise<void> {
  const { suite, limit, seed, steps, guidanceScale = null, output } = flags;
  const compare = other?.model ?? null;
  const run: SuiteRun = { suite, model, compare, limit, seed, steps, guidanceScale };
  const fingerprints = {
    model: await modelFingerprint(model),
    compare: compare === null ? null : await modelFingerprint(compare),
  };
  const known =
    flags.fresh === true ? { own: {}, compared: {} } : await knownScores(output, run, fingerprints);
  let own: MeasuredScores = known.own;
  let compared: MeasuredScores = known.compared;
  const kept = Object.keys(own).length + Object.keys(compared).length;
  if (kept > 0)
    context.note(`${kept} scores are known from ${reportFiles(output).json} (--fresh measures anew)`);
  const save = (): Promise<void> => saveReport(output, { ...suiteReport(run, own, compared), fingerprints });
  const side = (subject: Emu, name: string, before: MeasuredScores, keep: (scores: MeasuredScores) => void) =>
    runSuite(subject, {
      limit,
      seed,
      steps,
      ...(flags.guidanceScale !== undefined && { guidanceScale: flags.guidanceScale }),
      ...(flags.only.length > 0 && { only: flags.only.flat() }),
      known: before,
      judge: emu,
      signal: context.terminal.signal,
      onProgress: ({ test, completed, total }) => {
        context.progress.show({ phase: `${name}${test}`, completed, total, unit: 'samples' });
      },
      onScores: (scores) => {
        keep(scores);
        return save();
      },
    });
  await side(emu, '', own, (scores) => (own = scores));
  if (other !== undefined) await side(other.emu, 'text only: ', compared, (scores) => (compared = scores));
  await save();
  const report = suiteReport(run, own, compared);
  context.result(report, reportText(report));
  const { json, markdown } = reportFiles(output);
  context.note(`saved: ${json}, ${markdown}`);
}
