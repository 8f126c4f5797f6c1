import { nearestName } from '@emu/sdk';

import type { Terminal } from './terminal.js';

export interface EnvironmentVariable {
  readonly name: string;
  readonly means: string;
  readonly byDefault: string;
}

/** Every EMU_ variable that is read anywhere; `emu env`, the documentation and the warning all come from here. */
export const environmentVariables: readonly EnvironmentVariable[] = [
  { name: 'EMU_MODEL', means: 'model folder for commands without --model', byDefault: 'none' },
  { name: 'EMU_DEVICE', means: 'cpu or reference', byDefault: 'cpu' },
  { name: 'EMU_DTYPE', means: 'f32, bf16 or auto, the dtype of weights in memory', byDefault: 'auto' },
  { name: 'EMU_THREADS', means: 'threads that run kernels', byDefault: 'the cores this process may use' },
  {
    name: 'EMU_ISA',
    means: 'instruction set of the kernels: portable, avx2, avx512, avx512bf16, amx',
    byDefault: 'the best this machine has',
  },
  { name: 'EMU_LOG', means: 'form of errors on stderr: text or json', byDefault: 'text' },
  {
    name: 'EMU_OFFLINE',
    means: '1 forbids every download; nothing downloads unless asked to',
    byDefault: '0',
  },
  { name: 'EMU_TLS_CERT', means: 'certificate of `emu serve`, PEM', byDefault: 'none' },
  { name: 'EMU_TLS_KEY', means: 'key of that certificate, PEM', byDefault: 'none' },
  {
    name: 'EMU_REFERENCE',
    means: 'folder of reference data for the tests',
    byDefault: 'beside the checkout',
  },
  { name: 'EMU_FUZZ_SECONDS', means: 'how long each fuzz test runs', byDefault: '5' },
  { name: 'EMU_KILLS', means: 'how often the tests kill a training run', byDefault: '12' },
  { name: 'EMU_FUZZ_SEED', means: 'seed of the fuzz tests', byDefault: 'fixed' },
  { name: 'EMU_PYTHON', means: 'python with torch, a peer in benchmarks', byDefault: 'python3' },
  { name: 'EMU_LLAMA', means: 'folder with node-llama-cpp, a peer in benchmarks', byDefault: 'none' },
];

/** One line per unknown EMU_ variable, so that a typing error does not pass in silence. */
export function warnUnknownVariables({ environment, stderr }: Terminal): void {
  const known = environmentVariables.map((variable) => variable.name);
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('EMU_') || known.includes(name)) continue;
    const nearest = nearestName(name, known);
    const guess = nearest === undefined ? '' : `did you mean ${nearest}? `;
    stderr.write(
      `emu: the environment variable ${name} is unknown; ${guess}\`emu env\` lists those that are read\n`,
    );
  }
}

/** The value of a variable; one that is set to nothing counts as absent. */
export function environmentValue({ environment }: Terminal, name: string): string | undefined {
  const value = environment[name];
  return value === undefined || value.trim() === '' ? undefined : value;
}
