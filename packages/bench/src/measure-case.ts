import type { Backend } from '@emu/program';

import { unitOf, valueOf, type BenchCase, type Work } from './bench-case.js';
import type { MachineFloor } from './machine-floor.js';
import { prepareCase } from './measure.js';
import type { Peer } from './peers.js';

/** One measured line; what --json prints. */
export interface Line {
  readonly name: string;
  readonly ours: number;
  readonly unit: string;
  readonly peer: string | null;
  readonly peer_value: number | null;
  /** The peer's time over ours: above one, we are faster. */
  readonly ratio: number | null;
  /** Ours over what the machine can do at best; of a call, its target over its time. */
  readonly floor_fraction: number;
}

/** Measures a case and asks every peer; one line per peer that does this kind of work, or one without a peer. */
export async function measureCase(
  benchCase: BenchCase,
  backend: Backend,
  peers: readonly Peer[],
  floor: MachineFloor,
): Promise<readonly Line[]> {
  const { name, work } = benchCase;
  const prepared = await prepareCase(benchCase, backend);
  const first = await prepared.measure();
  const results = await measurePeers(benchCase, peers);
  // Once more after the peers: on a shared machine a slow minute must not fall on one side only.
  const seconds = Math.min(first, await prepared.measure());
  await prepared.dispose();
  const ours = { name, ours: valueOf(work, seconds), unit: unitOf(work) };
  const floor_fraction = floorFraction(work, seconds, floor);
  if (results.length === 0) return [{ ...ours, peer: null, peer_value: null, ratio: null, floor_fraction }];
  return results.map((result) => ({
    ...ours,
    peer: result.peer,
    peer_value: valueOf(work, result.seconds),
    ratio: result.seconds / seconds,
    floor_fraction,
  }));
}

async function measurePeers({ peer: peerCase }: BenchCase, peers: readonly Peer[]) {
  const results: { peer: string; seconds: number }[] = [];
  if (peerCase === undefined) return results;
  for (const peer of peers) {
    const seconds = await peer.measure(peerCase);
    if (seconds !== undefined) results.push({ peer: peer.name, seconds });
  }
  return results;
}

function floorFraction(work: Work, seconds: number, floor: MachineFloor): number {
  const value = valueOf(work, seconds);
  if (work.kind === 'call') return work.targetMicroseconds / value;
  if (work.kind === 'bytes') return value / floor.gigabytesPerSecond;
  return value / (work.dtype === 'f32' ? floor.f32GigaflopsPerSecond : floor.bf16GigaflopsPerSecond);
}

/** A line for people. */
export function describeLine(line: Line): string {
  const { name, ours, unit, peer, peer_value, ratio } = line;
  const beside =
    peer === null || peer_value === null || ratio === null
      ? 'no peer'
      : `${peer} ${peer_value.toFixed(1)}, ratio ${ratio.toFixed(2)}`;
  const floor =
    unit === 'us'
      ? `target over ours ${line.floor_fraction.toFixed(2)}`
      : `${(100 * line.floor_fraction).toFixed(0)} % of the floor`;
  return `${name.padEnd(46)} ${ours.toFixed(1).padStart(7)} ${unit}  ${floor}; ${beside}`;
}
