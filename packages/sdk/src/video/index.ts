export { sampleFrameIndices } from './sample-frames.js';
