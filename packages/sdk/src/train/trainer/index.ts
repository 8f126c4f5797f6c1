export type { TrainingEvent, TrainingWatcher } from './events.js';
export { train } from './train.js';
export type { TrainOptions, TrainResult } from './train.js';
export { gradientProgram, lossProgram, TrainingSession } from './training-session.js';
export type { LossTerms, TrainingSessionOptions, UpdateNumbers } from './training-session.js';
