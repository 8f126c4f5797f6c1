export * from './sample.js';
export { DataError, type DataErrorCode } from './errors.js';
export * from './world/attributes.js';
export * from './world/scene.js';
export * from './world/held-out.js';
export { drawScene } from './world/draw.js';
export { drawSample, type DrawnRecipe } from './drawn-sample.js';
export { drawnWorld, type DrawnWorldOptions } from './drawn-world.js';
