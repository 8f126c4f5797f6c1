export { createScheduler, schedulerNames } from './create-scheduler.js';
export type { SchedulerName } from './create-scheduler.js';
export { classifierFreeGuidance } from './guidance.js';
export { startLatents, unitNormal } from './noise.js';
export { addNoise, alphasCumprod, velocity } from './noise-schedule.js';
export { parseSchedulerConfig } from './scheduler-config.js';
export type { SchedulerConfig } from './scheduler-config.js';
export type { Scheduler } from './scheduler.js';
