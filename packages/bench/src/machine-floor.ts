import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What this machine can do at best, measured just before the cases. */
export interface MachineFloor {
  readonly f32GigaflopsPerSecond: number;
  readonly bf16GigaflopsPerSecond: number;
  readonly gigabytesPerSecond: number;
}

/** Runs the C++ tool that keeps the registers busy and reads fresh memory; tools/bench.mjs builds it. */
export function machineFloor(threads: number): MachineFloor {
  const tool = fileURLToPath(new URL('../../../out/tools/machine_floor', import.meta.url));
  const result = spawnSync(tool, [String(threads)], { encoding: 'utf8' });
  if (result.status !== 0) {
    throw new Error(
      `${tool} could not be run (${result.error?.message ?? result.stderr}); npm run bench builds it`,
    );
  }
  return JSON.parse(result.stdout) as MachineFloor;
}

/** The better of two measurements: what the machine did once it can do, whatever else kept it busy meanwhile. */
export function betterFloor(a: MachineFloor, b: MachineFloor): MachineFloor {
  return {
    f32GigaflopsPerSecond: Math.max(a.f32GigaflopsPerSecond, b.f32GigaflopsPerSecond),
    bf16GigaflopsPerSecond: Math.max(a.bf16GigaflopsPerSecond, b.bf16GigaflopsPerSecond),
    gigabytesPerSecond: Math.max(a.gigabytesPerSecond, b.gigabytesPerSecond),
  };
}
