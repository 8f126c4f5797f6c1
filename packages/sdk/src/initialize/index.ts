/* Untrained checkpoints from a configuration and a seed. */
export { parseEmuConfig, readEmuConfig } from './emu-config.js';
export { initialisationOf, type Initialisation } from './initialisation.js';
export { initializeCheckpoint, type InitializeOptions } from './initialize-checkpoint.js';
