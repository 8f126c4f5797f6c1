import type { Value } from '../../trace.js';
import { writeCase, type CaseWriter } from '../case-writer.js';
import type { OpCase, Tolerance } from '../op-case.js';

/** Writes one case under a seed that is given later. */
export type CaseMaker = (seed: number) => OpCase;

/** A case `op/label` of the parity table. */
export function makes(
  op: string,
  label: string,
  tolerance: Tolerance,
  build: (writer: CaseWriter) => Value | Readonly<Record<string, Value>>,
): CaseMaker {
  return (seed) => writeCase({ name: `${op}/${label}`, op, tolerance, seed }, build);
}

/** One more and one less than the vectors of every instruction set, and the head widths of the model. */
export const awkwardWidths = [1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 88, 128] as const;
