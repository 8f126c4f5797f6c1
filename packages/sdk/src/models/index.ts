/* Emu's networks: configurations, programs, checkpoint lists, estimates. */
export * from './causal-transformer.js';
export * from './components.js';
export * from './config.js';
export * from './decoder.js';
export * from './encode-images.js';
export * from './estimate.js';
export * from './eva-vit.js';
export * from './llama.js';
export * from './row-attention.js';
export * from './safety-checker.js';
export * from './safety-verdict.js';
export * from './text-tower.js';
export * from './unet-program.js';
export * from './unet.js';
export * from './vae-program.js';
export * from './vae.js';
export { Parameters, type Precision } from '../nn/parameters.js';
