import type { Command } from 'commander';

import { commandContext, withCommonFlags, type CommonFlags } from '../context.js';
import { environmentVariables } from '../environment.js';
import type { Terminal } from '../terminal.js';

export function addEnvironment(program: Command, terminal: Terminal): void {
  withCommonFlags(program.command('env'))
    .description('list the environment variables that are read, with their values')
    .addHelpText('after', '\nExample:\n  EMU_THREADS=1 emu env')
    .action((flags: CommonFlags) => {
      const { result } = commandContext(terminal, flags);
      for (const variable of environmentVariables) {
        const value = terminal.environment[variable.name];
        const shown = value ?? `(${variable.byDefault})`;
        result(
          { ...variable, value: value ?? null },
          `${variable.name.padEnd(18)} ${shown.padEnd(42)} ${variable.means}`,
        );
      }
    });
}
