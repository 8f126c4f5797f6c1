/* Our side of the training suite, a process of its own so that its memory can be told: a line of JSON asks, one answers. */
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { CpuBackend } from '@emu/native';

import { trainingCases } from './training-cases.js';
import { peakBytes, prepareStep, type PreparedStep } from './training-step.js';

// Weights that are drawn here lie in a mapped file when the trainer runs: what is left of them is no part of a step.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const threads = Number(process.argv[2]);
const cases = await trainingCases();
const before = peakBytes();
let prepared: PreparedStep | undefined;

function say(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/** Best seconds and processor seconds of `steps` steps; the first question pays for compiling and one more step. */
async function measure(name: string, steps: number): Promise<object> {
  if (prepared === undefined) {
    const trainingCase = cases.find((each) => each.name === name);
    if (trainingCase === undefined) throw new RangeError(`no training case is called ${name}`);
    prepared = await prepareStep(trainingCase, new CpuBackend(), threads);
    collectGarbage();
    await prepared.step();
  }
  let [seconds, processorSeconds] = [Infinity, Infinity];
  for (let step = 0; step < steps; step++) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    await prepared.step();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
    const { user, system } = process.cpuUsage(used);
    processorSeconds = Math.min(processorSeconds, (user + system) / 1e6);
  }
  const peak = peakBytes();
  const bytes = peak === undefined || before === undefined ? null : peak - before;
  return { seconds, processorSeconds, bytes };
}

say({ version: '' });
for await (const line of createInterface({ input: process.stdin })) {
  const { name, steps } = JSON.parse(line) as { readonly name: string; readonly steps: number };
  try {
    say(await measure(name, steps));
  } catch (error) {
    say({ error: String(error) });
  }
}
await prepared?.dispose();
