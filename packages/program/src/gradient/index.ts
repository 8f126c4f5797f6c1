export * from './gradient.js';
export * from './trainable.js';
