/* What needs Node: reading files, and sharp. The rest of image/ also runs in a browser. */
export { decodeImage } from './decode-node.js';
export type { DecodeOptions } from './decode-node.js';
export { encodeJpeg, encodePng } from './encode-node.js';
export { readImage } from './read-media-node.js';
