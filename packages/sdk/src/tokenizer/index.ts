export { EmuTokenizer } from './emu-tokenizer.js';
export type { PaddedBatch, PromptPart, TokenizerFiles, TokenizerOptions } from './emu-tokenizer.js';
export type { SpecialTokenName, SpecialTokens } from './special-tokens.js';
export { TextStream } from './text-stream.js';
