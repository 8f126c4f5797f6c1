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
  TrainedModel,
  TrainedWeights,
  TrainingBatch,
  TrainingCompanion,
  TrainingParameter,
  TrainingSample,
  TrainingTask,
} from './task.js';
export { objectiveOf, visualReductions } from './objective/objective-options.js';
export type { ObjectiveOptions, VisualReduction } from './objective/objective-options.js';
export { autoencoderProgram } from './objective/autoencoder-program.js';
export type { AutoencoderOptions } from './objective/autoencoder-program.js';
export { noiseProgram } from './objective/noise-program.js';
export { unifiedProgram } from './objective/unified-program.js';
export type { UnifiedOptions, UnifiedShape } from './objective/unified-program.js';
export { PackedBatch } from './packing/packed-batch.js';
export type { PackingModel } from './packing/packed-batch.js';
export { instructSequence, plainSequence } from './packing/sample-sequence.js';
export type { PlainLayout, SequenceModel } from './packing/sample-sequence.js';
export type { TrainingSequence } from './packing/training-sequence.js';
export { moduleOf, programParameters } from './model/program-parameters.js';
export { optimizerSettings } from './optimizer/parameter-settings.js';
export type { OptimizerGroup, OptimizerSettings } from './optimizer/parameter-settings.js';
export { hyperInput, updateProgram } from './optimizer/update-program.js';
export * from './trainer/index.js';
export * from './recipe/index.js';
export * from './plan/index.js';
export { trainingStages } from './stages/index.js';
export { plannableRecipe, recipesBeside } from './stages/plannable-recipe.js';
export * from './run-folder/index.js';
export { mergeAdapter, type MergeOptions } from './lora/merge-adapter.js';
