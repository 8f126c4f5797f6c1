export * from './networks.js';
export * from './op-case.js';
export * from './op-cases.js';
export * from './parity.js';
