/* What runs anywhere: in Node and in browsers. node.ts and browser.ts add what their platform has. */
export { EmuError, type EmuErrorCode } from '@emu/program';
export { Emu } from './emu.js';
export type {
  CaptionOptions,
  EmuOptions,
  Logger,
  PrefillOptions,
  Prompt,
  ScoreOptions,
} from './emu-options.js';
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
export type { ChatMessage } from './generate/chat-format.js';
export type {
  FinishReason,
  GeneratedImage,
  GenerationEvent,
  GenerationResult,
  Usage,
} from './generate/events.js';
export { GenerationStream } from './generate/generation-stream.js';
export type { CommonOptions, GenerateOptions, PictureOptions, TextOptions } from './generate/options.js';
export { generateRules, pictureRules, textRules } from './generate/options.js';
export { nearestName } from './generate/option-checks.js';
export { PagedCache } from './generate/paged-cache.js';
export type { PagedCacheShape } from './generate/paged-cache.js';
export type { MediaReader } from './generate/prompt.js';
export type { RankedCandidate } from './generate/ranking.js';
export { Sequence } from './generate/sequence.js';
export { Decoder, rowBuckets } from './generate/step.js';
export type { Element, Row, RowOutput, RowResult } from './generate/step.js';
