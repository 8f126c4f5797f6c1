export { memoryLimit, parseHardware, shardings, thisMachine } from './hardware.js';
export type { Hardware, Sharding } from './hardware.js';
export { memoryText } from './memory.js';
export type { TrainingMemory } from './memory.js';
export { planText, planTraining, requireDisk, requireFit, secondsText, trainingDisk } from './plan.js';
export type { TrainingDisk, TrainingPlan } from './plan.js';
