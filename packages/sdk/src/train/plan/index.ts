export { memoryLimit, parseHardware, shardings, thisMachine } from './hardware.js';
export type { Hardware, Sharding } from './hardware.js';
export { memoryText } from './memory.js';
export type { TrainingMemory } from './memory.js';
export { planText, planTraining, requireFit, secondsText } from './plan.js';
export type { TrainingPlan } from './plan.js';
