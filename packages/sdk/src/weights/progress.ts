/** How far a long piece of work is. */
export interface WeightsProgress {
  readonly phase: 'convert' | 'initialize';
  /** File that is being written, relative to the target folder. */
  readonly file: string;
  readonly completed: number;
  readonly total: number;
  readonly unit: 'bytes';
}
