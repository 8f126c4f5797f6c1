export type { JsonValue } from './json-value.js';
export { adapterOptions, schedulerTypes, trainerOptions } from './recipe/schema.js';
export type { AdapterOptions, Recipe, SchedulerType } from './recipe/schema.js';
export { defineStage } from './stage.js';
export type { StageContext, StageDefinition } from './stage.js';
export { hasDecay } from './task.js';
export type {
  BatchCounts,
  BatchStream,
  SampleContext,
  TrainedWeights,
  TrainingBatch,
  TrainingParameter,
  TrainingSample,
  TrainingTask,
} from './task.js';
