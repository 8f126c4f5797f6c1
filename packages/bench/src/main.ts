import { fileURLToPath } from 'node:url';

import { CpuBackend } from '@emu/native';

import { betterFloor, machineFloor } from './machine-floor.js';
import { kernelCases } from './kernel-cases.js';
import { modelCases } from './model-cases.js';
import { describeLine, measureCase, type Line } from './measure-case.js';
import { describeTrainingLine, measureTraining } from './measure-training.js';
import { startLlama, startOneDnn, startTorch, startTorchTraining, startTrainingWorker } from './peers.js';
import { trainingCases } from './training-cases.js';

const usage = `npm run bench -- [--json] [--suite kernels|model|training] [--only TEXT] [--rounds N] [--threads N]

One line per case: ours, the peer's, the ratio (ours over peer, higher is better), and the part of what the machine
can do at best ("floor": flops / peak or bytes / bandwidth, measured first). Peers run in the same minute as we do;
one that is not installed is said, not guessed. Figures are the best of several runs.

"program call overhead" has no peer and no floor: its value is the microseconds of one run of an almost empty
program from JavaScript, lower being better, and its floor_fraction is the target of 20 us over that value.

"training" lines are steps of the trainer (forward, backward, gradient norm, AdamW) beside PyTorch eager. The sides take
turns, --rounds of them (default 3), on --threads threads each (default all). Beside the ratio of speeds stand that of
processor time, which says more on a machine that does other work, and that of peak memory (ours over the peer's, lower
is better).

Peers: PyTorch from the python that EMU_PYTHON names (default python3); oneDNN where its headers are installed;
node-llama-cpp, for decoding, from the folder that EMU_LLAMA names, which holds its node_modules.`;

const suites = ['kernels', 'model', 'training'];

interface Options {
  readonly json: boolean;
  readonly suite: string | undefined;
  readonly only: string;
  readonly rounds: number;
  readonly threads: number | undefined;
}

function parse(args: readonly string[]): Options {
  const valueAfter = (flag: string): string | undefined => {
    const at = args.indexOf(flag);
    return at < 0 ? undefined : args[at + 1];
  };
  const suite = valueAfter('--suite');
  const rounds = Number(valueAfter('--rounds') ?? 3);
  const threads = valueAfter('--threads');
  if (args.includes('--help') || !(rounds >= 1) || (suite !== undefined && !suites.includes(suite))) {
    process.stderr.write(`${usage}\n`);
    process.exit(args.includes('--help') ? 0 : 2);
  }
  return {
    json: args.includes('--json'),
    suite,
    only: valueAfter('--only') ?? '',
    rounds,
    threads: threads === undefined ? undefined : Number(threads),
  };
}

function print(line: Line, json: boolean): void {
  process.stdout.write(`${json ? JSON.stringify(line) : describeLine(line)}\n`);
}

const options = parse(process.argv.slice(2));
const backend = new CpuBackend();
const { threads: allThreads, instructionSet } = backend.describe();
const threads = options.suite === 'training' ? (options.threads ?? allThreads) : allThreads;
let floor = betterFloor(machineFloor(threads), machineFloor(threads));
process.stderr.write(
  `${threads} threads, ${instructionSet}; floor: ${floor.f32GigaflopsPerSecond.toFixed(0)} GFLOP/s f32, ` +
    `${floor.bf16GigaflopsPerSecond.toFixed(0)} bf16, ${floor.gigabytesPerSecond.toFixed(0)} GB/s\n`,
);
if (options.suite !== 'training') await runCases();
if (options.suite === undefined || options.suite === 'training') await runTraining();

async function runCases(): Promise<void> {
  const started = await Promise.all([startTorch(threads), startOneDnn(threads), startLlama(threads)]);
  const peers = started.filter((peer) => peer !== undefined);
  for (const benchCase of [...kernelCases(), ...(await modelCases())]) {
    if (options.suite !== undefined && benchCase.suite !== options.suite) continue;
    if (!benchCase.name.includes(options.only)) continue;
    floor = betterFloor(floor, machineFloor(threads));
    for (const line of await measureCase(benchCase, backend, peers, floor)) print(line, options.json);
  }
  for (const peer of peers) peer.close();
}

async function runTraining(): Promise<void> {
  const worker = fileURLToPath(new URL('training-worker.js', import.meta.url));
  const sides = {
    ours: () => startTrainingWorker(threads, worker),
    torch: () => startTorchTraining(threads),
  };
  for (const trainingCase of await trainingCases()) {
    if (!trainingCase.name.includes(options.only)) continue;
    floor = betterFloor(floor, machineFloor(threads));
    const turns = { rounds: options.rounds, steps: 3 };
    const line = await measureTraining(trainingCase, sides, turns, floor);
    process.stdout.write(`${options.json ? JSON.stringify(line) : describeTrainingLine(line)}\n`);
  }
}
