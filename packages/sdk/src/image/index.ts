export { clipImageProcessor, parseClipImageConfig } from './clip-image-processor.js';
export type { ClipImageConfig } from './clip-image-processor.js';
export { imageFormats, sniffImageFormat } from './image-format.js';
export type { ImageFormat } from './image-format.js';
export type { ImageLimits } from './limits.js';
export { embedding, image, video } from './media.js';
export type {
  EmbeddingMedia,
  ImageInput,
  ImageMedia,
  Media,
  MediaSource,
  PromptItem,
  VideoInput,
  VideoMedia,
} from './media.js';
export { rgbPixels, withoutAlpha } from './pixels.js';
export type { Pixels, RgbaPixels } from './pixels.js';
export { preprocessForEncoder, preprocessForEncoderInSlices } from './preprocess.js';
export type { PreprocessOptions } from './preprocess.js';
export { resize, resizeInSlices } from './resize.js';
export type { ResizeFilter } from './resize.js';
