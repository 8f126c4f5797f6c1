/* The entry for browsers: models and pictures come as bytes; the backend is passed to `Emu.open`. */
export * from './index.js';
