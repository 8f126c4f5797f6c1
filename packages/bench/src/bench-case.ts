import type { Program, TensorData } from '@emu/program';

/** One line of the benchmark: a program of ours, and what a peer is asked to do with the same sizes. */
export interface BenchCase {
  readonly name: string;
  readonly suite: 'kernels' | 'model';
  readonly program: () => Program;
  /** Inputs that the case needs to be meaningful, such as positions; the others are random. */
  readonly inputs?: () => Readonly<Record<string, TensorData>>;
  readonly work: Work;
  /** The case as the peers understand it, see peers/torch_peer.py; absent where no peer has the like. */
  readonly peer?: PeerCase;
}

export type Work = Throughput | CallTime;

/** What one run does: arithmetic for work that is bound by it, bytes of weights and caches read otherwise. */
export interface Throughput {
  readonly kind: 'flops' | 'bytes';
  readonly amount: number;
  readonly dtype: 'f32' | 'bf16';
}

/** The time of one run itself, as the mean of `runs` in a row: such a run is too short to time alone. */
export interface CallTime {
  readonly kind: 'call';
  readonly runs: number;
  readonly targetMicroseconds: number;
}

export interface PeerCase {
  readonly kind: string;
  readonly dtype: 'f32' | 'bf16';
  readonly sizes: Readonly<Record<string, number>>;
}

/** Unit of a case's value: rates for throughput, microseconds for a call. */
export type Unit = 'GFLOP/s' | 'GB/s' | 'us';

const units: Readonly<Record<Work['kind'], Unit>> = { flops: 'GFLOP/s', bytes: 'GB/s', call: 'us' };

export function unitOf({ kind }: Work): Unit {
  return units[kind];
}

/** What a case reports, in its unit, when one run takes `seconds`. */
export function valueOf(work: Work, seconds: number): number {
  return work.kind === 'call' ? seconds * 1e6 : work.amount / seconds / 1e9;
}
