/* Generation: what the Emu class is made of, for servers and for those who need the low level. */
export type { ChatMessage } from './chat-format.js';
export type { FinishReason, GeneratedImage, GenerationEvent, GenerationResult, Usage } from './events.js';
export { GenerationStream } from './generation-stream.js';
export type { CommonOptions, GenerateOptions, PictureOptions, TextOptions } from './options.js';
export { generateRules, pictureRules, textRules } from './options.js';
export { nearestName } from './option-checks.js';
export { PagedCache } from './paged-cache.js';
export type { PagedCacheShape } from './paged-cache.js';
export type { MediaReader } from './prompt.js';
export type { RankedCandidate } from './ranking.js';
export { Sequence } from './sequence.js';
export { Decoder, rowBuckets } from './step.js';
export type { Element, Row, RowOutput, RowResult } from './step.js';
