import type { Program, TensorData } from '@emu/program';

/** One line of the benchmark: a program of ours, and what a peer is asked to do with the same sizes. */
export interface BenchCase {
  readonly name: string;
  readonly suite: 'kernels' | 'model';
  readonly program: () => Program;
  /** Inputs that the case needs to be meaningful, such as positions; the others are random. */
  readonly inputs?: () => Readonly<Record<string, TensorData>>;
  /** What one run does: arithmetic for work that is bound by it, bytes of weights and caches read otherwise. */
  readonly work: {
    readonly kind: 'flops' | 'bytes';
    readonly amount: number;
    readonly dtype: 'f32' | 'bf16';
  };
  /** The case as the peers understand it; see peers/torch_peer.py. */
  readonly peer: PeerCase;
}

export interface PeerCase {
  readonly kind: string;
  readonly dtype: 'f32' | 'bf16';
  readonly sizes: Readonly<Record<string, number>>;
}

/** `GFLOP/s` or `GB/s`: the unit of a case's value. */
export function unitOf(benchCase: BenchCase): 'GFLOP/s' | 'GB/s' {
  return benchCase.work.kind === 'flops' ? 'GFLOP/s' : 'GB/s';
}
