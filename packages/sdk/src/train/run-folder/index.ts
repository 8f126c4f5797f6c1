export { writeText } from '../../weights/atomic-file.js';
export { findRuns, readRunStatus } from './run-status.js';
export type { RunStatus } from './run-status.js';
