/* What runs anywhere: in Node and in browsers. node.ts and browser.ts add what their platform has. */
export { EmuError, type EmuErrorCode } from '@emu/program';
export { Emu } from './emu.js';
export type { CaptionOptions, EmuOptions, Logger, PrefillOptions, Prompt, ScoreOptions } from './emu.js';
export { LoadedModel, modelParts } from './session.js';
export type { ModelFiles, ModelOptions, ModelPart } from './session.js';
export type { LoadOptions, Progress, ProgressWatcher } from './weight-loader.js';
export { embedding, image, video } from './image/media.js';
export type {
  EmbeddingMedia,
  ImageInput,
  ImageMedia,
  PromptItem,
  VideoInput,
  VideoMedia,
} from './image/media.js';
export type { Pixels } from './image/pixels.js';
export * from './generate/index.js';
