/* What needs Node: running ffmpeg. */
export { readVideoFrames } from './read-frames-node.js';
export type { VideoOptions } from './read-frames-node.js';
