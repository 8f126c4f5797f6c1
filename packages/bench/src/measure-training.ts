import { gradient, trainable } from '@emu/program';
import { programFlops } from '@emu/sdk/models';

import type { MachineFloor } from './machine-floor.js';
import type { Line } from './measure-case.js';
import type { Peer } from './peers.js';
import type { TrainingCase } from './training-cases.js';

/** A line of the training suite: that of every suite, and what else tells two trainers apart. */
export interface TrainingLine extends Line {
  /** Seconds of processor time that one step of ours took on all threads. */
  readonly processor_seconds: number | null;
  /** The peer's processor time over ours: what the ratio is where other work on the machine takes part of the time. */
  readonly processor_ratio: number | null;
  /** Most memory that a process of ours held for model and steps, in bytes. */
  readonly peak_bytes: number | null;
  /** Ours over the peer's; below one, we need less. */
  readonly peak_memory_ratio: number | null;
}

/** Starts the two sides of a case, each in a fresh process so that its memory can be told. */
export interface TrainingSides {
  readonly ours: () => Promise<Peer | undefined>;
  readonly torch: () => Promise<Peer | undefined>;
}

export interface TrainingRounds {
  /** How often the sides take turns. */
  readonly rounds: number;
  /** Steps of one turn. */
  readonly steps: number;
}

/** Best of all turns of one side. */
interface Best {
  seconds: number;
  processorSeconds: number;
  bytes: number | null;
}

/**
 * Measures a case: the sides take turns in the same minutes, and the best step of each counts, so that what else the
 * machine does falls on neither side alone. The first step of each, which compiles and allocates, is not timed.
 * @throws Error if our own side fails.
 */
export async function measureTraining(
  trainingCase: TrainingCase,
  sides: TrainingSides,
  { rounds, steps }: TrainingRounds,
  floor: MachineFloor,
): Promise<TrainingLine> {
  const { name, amount, peer: peerCase } = trainingCase;
  const [ours, torch] = await Promise.all([sides.ours(), sides.torch()]);
  if (ours === undefined) throw new Error('our side of the training suite could not be started');
  const [best, theirs] = [noTurn(), noTurn()];
  try {
    for (let round = 0; round < rounds; round++) {
      if (!(await turn(ours, { name, steps }, best))) throw new Error(`${name} failed on our side`);
      if (torch !== undefined) await turn(torch, { ...peerCase, steps }, theirs);
    }
  } finally {
    ours.close();
    torch?.close();
  }
  const hasPeer = torch !== undefined && Number.isFinite(theirs.seconds);
  return {
    name,
    ours: amount.count / best.seconds,
    unit: amount.unit,
    peer: hasPeer ? torch.name : null,
    peer_value: hasPeer ? amount.count / theirs.seconds : null,
    ratio: hasPeer ? theirs.seconds / best.seconds : null,
    floor_fraction: floorFraction(trainingCase, best.seconds, floor),
    processor_seconds: Number.isFinite(best.processorSeconds) ? best.processorSeconds : null,
    processor_ratio: hasPeer ? theirs.processorSeconds / best.processorSeconds : null,
    peak_bytes: best.bytes,
    peak_memory_ratio:
      hasPeer && best.bytes !== null && theirs.bytes !== null ? best.bytes / theirs.bytes : null,
  };
}

function noTurn(): Best {
  return { seconds: Infinity, processorSeconds: Infinity, bytes: null };
}

/** One turn of a side; false if it said that it failed. */
async function turn(side: Peer, question: object, best: Best): Promise<boolean> {
  const { seconds, processorSeconds, bytes } = await side.ask(question);
  if (seconds === undefined) return false;
  best.seconds = Math.min(best.seconds, seconds);
  best.processorSeconds = Math.min(best.processorSeconds, processorSeconds ?? Infinity);
  best.bytes = bytes ?? null;
  return true;
}

/** Operations of forward and backward pass over what the registers could have done in the time. */
function floorFraction({ program, dtype }: TrainingCase, seconds: number, floor: MachineFloor): number {
  const trained = trainable(program, { states: () => true });
  const of = trained.states.map(({ name }) => name);
  const flops = programFlops(gradient(trained, { loss: 'loss', of, into: 'states' }));
  const peak = dtype === 'f32' ? floor.f32GigaflopsPerSecond : floor.bf16GigaflopsPerSecond;
  return flops / seconds / 1e9 / peak;
}

/** A line for people. */
export function describeTrainingLine(line: TrainingLine): string {
  const { name, ours, unit, peer, peer_value, ratio, processor_ratio, peak_bytes, peak_memory_ratio } = line;
  const floor = `${(100 * line.floor_fraction).toFixed(0)} % of the floor`;
  const memory = peak_bytes === null ? '' : `, ${(peak_bytes / 2 ** 20).toFixed(0)} MiB`;
  const beside =
    peer === null || peer_value === null || ratio === null
      ? 'no peer'
      : `${peer} ${peer_value.toFixed(1)}, ratio ${ratio.toFixed(2)}, in processor time ` +
        `${processor_ratio?.toFixed(2) ?? '?'}, memory ${peak_memory_ratio?.toFixed(2) ?? '?'}`;
  return `${name.padEnd(38)} ${ours.toFixed(1).padStart(7)} ${unit}  ${floor}${memory}; ${beside}`;
}
