import { setTimeout as wait } from 'node:timers/promises';

import { EmuError } from '@emu/sdk';
import { findRuns, readRunStatus, type RunStatus } from '@emu/sdk/train';
import type { Command } from 'commander';

import { commandContext, withCommonFlags, type CommonFlags } from '../context.js';
import type { Terminal } from '../terminal.js';

const watchIntervalMs = 500;

/** Training runs on this machine, by their run folders. */
export function addJobs(program: Command, terminal: Terminal): void {
  const jobs = program.command('jobs').description('look at training runs, watch or stop them');

  withCommonFlags(jobs.command('ls'))
    .argument('[folder]', 'where run folders lie', 'runs')
    .description('list the runs in a folder and below it')
    .addHelpText('after', '\nExample:\n  emu jobs ls runs')
    .action(async (folder: string, flags: CommonFlags) => {
      const { result, note } = commandContext(terminal, flags);
      const runs = await findRuns(folder);
      for (const run of runs) result(run, statusText(run));
      if (runs.length === 0) note(`there are no runs in ${folder}`);
    });

  withCommonFlags(jobs.command('watch'))
    .argument('<run>', 'run folder')
    .description('follow the log of a run until it ends')
    .addHelpText('after', '\nExample:\n  emu jobs watch runs/tiny/unified')
    .action(async (folder: string, flags: CommonFlags) => {
      const { result } = commandContext(terminal, flags);
      for (let shown = -1; ;) {
        const status = await readRunStatus(folder);
        if (status.step !== shown) result(status, statusText(status));
        shown = status.step;
        if (status.state !== 'running') return;
        await wait(watchIntervalMs, undefined, { signal: terminal.signal });
      }
    });

  withCommonFlags(jobs.command('cancel'))
    .argument('<run>', 'run folder')
    .description('let a run write a checkpoint and stop')
    .addHelpText('after', '\nExample:\n  emu jobs cancel runs/tiny/unified')
    .action(async (folder: string, flags: CommonFlags) => {
      const { result, note } = commandContext(terminal, flags);
      const { pid, state } = await readRunStatus(folder);
      if (pid === null) {
        throw new EmuError('MODEL_NOT_READY', `[jobs] no process trains in ${folder}: the run is ${state}`, {
          details: { folder, state },
        });
      }
      process.kill(pid, 'SIGINT');
      note(`process ${pid} finishes its step and writes a checkpoint`);
      let status = await readRunStatus(folder);
      while (status.pid === pid) {
        await wait(watchIntervalMs, undefined, { signal: terminal.signal });
        status = await readRunStatus(folder);
      }
      result(status, statusText(status));
    });
}

function statusText({ folder, stage, state, step, maxSteps, metrics }: RunStatus): string {
  const loss = metrics['loss'] === undefined ? '' : `  loss ${metrics['loss'].toPrecision(4)}`;
  return `${state.padEnd(9)} ${stage.padEnd(12)} ${step} of ${maxSteps} steps${loss}  ${folder}`;
}
