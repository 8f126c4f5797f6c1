export { CpuBackend, type CpuBackendOptions } from './cpu-backend.js';
export { addonCandidates } from './addon.js';
