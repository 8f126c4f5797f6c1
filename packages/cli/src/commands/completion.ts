import type { Command } from 'commander';

import type { Terminal } from '../terminal.js';

/** Every command of a line, by its words: `model convert` and its flags. */
interface CompletionEntry {
  readonly words: string;
  readonly choices: readonly string[];
}

export function addCompletion(program: Command, terminal: Terminal): void {
  const completion = program
    .command('completion')
    .description('print a completion script for a shell')
    .addHelpText('after', '\nExample:\n  source <(emu completion bash)');
  for (const [shell, script] of Object.entries({ bash: bashScript, zsh: zshScript })) {
    completion
      .command(shell)
      .description(`print the script for ${shell}`)
      .addHelpText('after', `\nExample:\n  source <(emu completion ${shell})`)
      .action(() => {
        terminal.stdout.write(script(entriesOf(program)));
      });
  }
}

/** What may follow the words of every command: its subcommands and flags. */
function entriesOf(command: Command, words = ''): readonly CompletionEntry[] {
  const inner = command.commands.map((child) => child.name());
  const flags = command.options
    .map((option) => option.long ?? option.short ?? '')
    .filter((flag) => flag !== '');
  return [
    { words, choices: [...inner, ...flags, '--help'] },
    ...command.commands.flatMap((child) => entriesOf(child, `${words} ${child.name()}`.trim())),
  ];
}

// Words are letters and dashes of our own command names: nothing in them needs quoting.
function bashScript(entries: readonly CompletionEntry[]): string {
  const cases = entries.map(({ words, choices }) => `    "${words}") choices="${choices.join(' ')}" ;;`);
  return `_emu() {
  local current=\${COMP_WORDS[COMP_CWORD]} words="" word choices=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) break ;; esac
    words="\${words:+$words }$word"
  done
  case $words in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$choices" -- "$current"))
  if [ "\${#COMPREPLY[@]}" -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -F _emu emu
`;
}

// zsh runs bash completions.
function zshScript(entries: readonly CompletionEntry[]): string {
  return `autoload -U +X bashcompinit && bashcompinit\n${bashScript(entries)}`;
}
