import { Command, CommanderError } from 'commander';

import { addCompletion } from './commands/completion.js';
import { addDoctor } from './commands/doctor.js';
import { addEnvironment } from './commands/environment.js';
import { addEval } from './commands/eval.js';
import { addGeneration } from './commands/generation.js';
import { addJobs } from './commands/jobs.js';
import { addModel } from './commands/model.js';
import { addPictures } from './commands/pictures.js';
import { addScoring } from './commands/scoring.js';
import { addServe } from './commands/serve.js';
import { addSpeed } from './commands/speed.js';
import { addTrain } from './commands/train.js';
import { addVerify } from './commands/verify.js';
import { warnUnknownVariables } from './environment.js';
import { exitStatusOf } from './exit-status.js';
import { reportFailure } from './failure.js';
import type { Terminal } from './terminal.js';
import { version } from './version.js';

/** Usage errors end with 2, as in the error table. */
const usageExit = 2;

/** All commands. Actions throw; what they throw becomes a message and an exit status here. */
export function commandLine(terminal: Terminal): Command {
  const program = new Command('emu')
    .description('Emu reads and writes text and pictures. https://arxiv.org/abs/2307.05222')
    .version(version, '--version', 'print the version')
    .enablePositionalOptions() // flags after a verb are the verb's: `bench` and `bench serve` share some
    .showSuggestionAfterError()
    .showHelpAfterError('(run with --help for an example)')
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
    })
    .exitOverride();
  addGeneration(program, terminal);
  addPictures(program, terminal);
  addScoring(program, terminal);
  addModel(program, terminal);
  addTrain(program, terminal);
  addJobs(program, terminal);
  addVerify(program, terminal);
  addEval(program, terminal);
  addServe(program, terminal);
  addSpeed(program, terminal);
  addDoctor(program, terminal);
  addEnvironment(program, terminal);
  addCompletion(program, terminal);
  // Subcommands do not inherit these.
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput(program.configureOutput());
  }
  return program;
}

function everyCommand(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** Runs one command line and returns its exit status. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  warnUnknownVariables(terminal);
  // Actions that finish with a status of their own, such as failed checks, leave it here.
  const outcome = { status: 0 };
  try {
    const program = commandLine(terminal);
    program.hook('postAction', (_, action) => {
      outcome.status = exitStatusOf(action);
    });
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return usageExit;
    }
    await program.parseAsync([...args], { from: 'user' });
    return outcome.status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExit;
    const json = args.includes('--json') || terminal.environment['EMU_LOG'] === 'json';
    return reportFailure(error, terminal, json);
  }
}
