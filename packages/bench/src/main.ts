import { CpuBackend } from '@emu/native';

import { unitOf, type BenchCase } from './bench-case.js';
import { betterFloor, machineFloor, type MachineFloor } from './machine-floor.js';
import { kernelCases } from './kernel-cases.js';
import { modelCases } from './model-cases.js';
import { prepareCase } from './measure.js';
import { startOneDnn, startTorch, type Peer } from './peers.js';

const usage = `npm run bench -- [--json] [--suite kernels|model] [--only TEXT]

One line per case: ours, the peer's, the ratio (ours over peer, higher is better), and the part of what the machine
can do at best ("floor": flops / peak or bytes / bandwidth, measured first). Peers run in the same minute as we do;
one that is not installed is said, not guessed. Figures are the best of several runs.`;

interface Options {
  readonly json: boolean;
  readonly suite: string | undefined;
  readonly only: string;
}

/** One measured line; what --json prints. */
interface Line {
  readonly name: string;
  readonly ours: number;
  readonly unit: string;
  readonly peer: string | null;
  readonly peer_value: number | null;
  readonly ratio: number | null;
  readonly floor_fraction: number;
}

function parse(args: readonly string[]): Options {
  const valueAfter = (flag: string): string | undefined => {
    const at = args.indexOf(flag);
    return at < 0 ? undefined : args[at + 1];
  };
  const suite = valueAfter('--suite');
  if (args.includes('--help') || (suite !== undefined && !['kernels', 'model'].includes(suite))) {
    process.stderr.write(`${usage}\n`);
    process.exit(args.includes('--help') ? 0 : 2);
  }
  return { json: args.includes('--json'), suite, only: valueAfter('--only') ?? '' };
}

function floorOf({ work }: BenchCase, floor: MachineFloor): number {
  if (work.kind === 'bytes') return floor.gigabytesPerSecond;
  return work.dtype === 'f32' ? floor.f32GigaflopsPerSecond : floor.bf16GigaflopsPerSecond;
}

async function measureCase(
  benchCase: BenchCase,
  backend: CpuBackend,
  peers: readonly Peer[],
  floor: MachineFloor,
): Promise<readonly Line[]> {
  const rate = (seconds: number): number => benchCase.work.amount / seconds / 1e9;
  const prepared = await prepareCase(benchCase, backend);
  let ours = await prepared.measure();
  const results: { name: string; seconds: number }[] = [];
  for (const peer of peers) {
    const seconds = await peer.measure(benchCase.peer);
    if (seconds !== undefined) results.push({ name: peer.name, seconds });
  }
  // Once more after the peers: on a shared machine a slow minute must not fall on one side only.
  ours = Math.min(ours, await prepared.measure());
  await prepared.dispose();
  const common = {
    name: benchCase.name,
    ours: rate(ours),
    unit: unitOf(benchCase),
    floor_fraction: rate(ours) / floorOf(benchCase, floor),
  };
  if (results.length === 0) return [{ ...common, peer: null, peer_value: null, ratio: null }];
  return results.map(({ name, seconds }) => ({
    ...common,
    peer: name,
    peer_value: rate(seconds),
    ratio: seconds / ours,
  }));
}

function print(line: Line, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const peer =
    line.peer === null || line.peer_value === null || line.ratio === null
      ? 'no peer'
      : `${line.peer} ${line.peer_value.toFixed(1)}, ratio ${line.ratio.toFixed(2)}`;
  const floor = `${(100 * line.floor_fraction).toFixed(0)} % of the floor`;
  process.stdout.write(
    `${line.name.padEnd(46)} ${line.ours.toFixed(1).padStart(7)} ${line.unit}  ${floor}; ${peer}\n`,
  );
}

const options = parse(process.argv.slice(2));
const backend = new CpuBackend();
const { threads, instructionSet } = backend.describe();
let floor = betterFloor(machineFloor(threads), machineFloor(threads));
process.stderr.write(
  `${threads} threads, ${instructionSet}; floor: ${floor.f32GigaflopsPerSecond.toFixed(0)} GFLOP/s f32, ` +
    `${floor.bf16GigaflopsPerSecond.toFixed(0)} bf16, ${floor.gigabytesPerSecond.toFixed(0)} GB/s\n`,
);
const started = await Promise.all([startTorch(threads), startOneDnn(threads)]);
const peers = started.filter((peer) => peer !== undefined);
const cases = [...kernelCases(), ...(await modelCases())];
for (const benchCase of cases) {
  if (options.suite !== undefined && benchCase.suite !== options.suite) continue;
  if (!benchCase.name.includes(options.only)) continue;
  floor = betterFloor(floor, machineFloor(threads));
  for (const line of await measureCase(benchCase, backend, peers, floor)) print(line, options.json);
}
for (const peer of peers) peer.close();
