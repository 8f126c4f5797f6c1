import { EmuError } from '@emu/program';

import { schedulerNames, type SchedulerName } from '../diffusion/create-scheduler.js';
import {
  abortSignal,
  boolean,
  checkOptions,
  floats,
  integerIn,
  numberAbove,
  numberIn,
  oneOf,
  seed,
  text,
  textList,
  type OptionRules,
} from './option-checks.js';
import type { SamplingOptions } from './sampling.js';

/** Options of every call that makes something. */
export interface CommonOptions {
  /** 0..2^64-1; drawn at random when absent. The seed in use is in the result. */
  readonly seed?: number | bigint;
  /** Stops within one decoding or denoising step. */
  readonly signal?: AbortSignal;
  /** After an abort: `throw` (default) the signal's reason, or `return` what there is so far. */
  readonly onAbort?: 'throw' | 'return';
  /**
   * Who asks. Calls of one client wait for a place in the key/value cache in their order, different clients take
   * turns; calls without it are one client.
   */
  readonly client?: string;
}

/** How text is made. Defaults are the model's generation_config.json, then those of the authors' `generate`. */
export interface TextOptions extends CommonOptions {
  /** Default 50, or what the context has room for. */
  readonly maxNewTokens?: number;
  /** Tokens before the model may end; default 0. */
  readonly minNewTokens?: number;
  /** Above 0 draws tokens at random; 0 takes the best. Default 0, or 1 when topK or topP is given. */
  readonly temperature?: number;
  /** Draw among the topK best; 0 (default) is all of them. In contrastive search the number of candidates, default 4. */
  readonly topK?: number;
  /** Draw among the best with this probability together; default 0.9. */
  readonly topP?: number;
  /** Beams when nothing is drawn at random; default 5, 1 is greedy search and streams text. */
  readonly numBeams?: number;
  /** Beam scores are divided by length ** lengthPenalty; default 0. */
  readonly lengthPenalty?: number;
  /** Above 1 makes tokens that came already less likely; default 1. */
  readonly repetitionPenalty?: number;
  /** No run of this many tokens comes twice; default 0, off. */
  readonly noRepeatNgramSize?: number;
  /** Above 0: contrastive search with this weight. */
  readonly penaltyAlpha?: number;
  /** Text ends before the first of these. */
  readonly stopSequences?: readonly string[];
  /** The answer is exactly one of these; maxNewTokens is by default what the longest of them needs. */
  readonly choices?: readonly string[];
  /** Adds an event for each token. Default false. */
  readonly tokens?: boolean;
  /**
   * Adds an event for each token, with the natural logarithm of its probability after penalties and limits, before
   * temperature, topK and topP. Default false.
   */
  readonly logprobs?: boolean;
  /** With logprobs: so many of the likeliest tokens in the place of each, 0..20; default 0. */
  readonly topLogprobs?: number;
}

/** How pictures are made. */
export interface PictureOptions extends CommonOptions {
  /** Pixels, multiples of 8; by default what the decoder was trained for (512 for the published one). */
  readonly width?: number;
  readonly height?: number;
  /** Denoising steps, default 50. */
  readonly steps?: number;
  /** Weight of classifier-free guidance, default 7.5; 1 and below is none. */
  readonly guidanceScale?: number;
  /** By default what the checkpoint's scheduler_config.json names. */
  readonly scheduler?: SchedulerName;
  /** What the picture is guided away from; default: what the model makes of no prompt at all. */
  readonly negativePrompt?: string;
  /**
   * A picture that the safety checker flags is made black (`black`, default, as the authors do) or only reported
   * (`report`); `off` does not check. A model without a checker behaves as `off`.
   */
  readonly safetyChecker?: 'black' | 'report' | 'off';
  /** Start latents f32[1,4,height/8,width/8] instead of noise from the seed. */
  readonly latents?: Float32Array;
  /** Adds a small picture to every n-th progress event; default 0, none. */
  readonly previewEvery?: number;
}

/** Options of `generate`. */
export interface GenerateOptions extends TextOptions, PictureOptions {
  /**
   * `text` (default); `image`: a picture of the prompt; `interleaved`: text in which the model may put pictures with
   * [IMG], made as they come.
   */
  readonly output?: 'text' | 'image' | 'interleaved';
}

const commonRules = {
  seed,
  signal: abortSignal,
  onAbort: oneOf('throw', 'return'),
  client: text,
} satisfies OptionRules;

/** Rules of TextOptions. */
export const textRules = {
  ...commonRules,
  maxNewTokens: integerIn(1, 1_000_000),
  minNewTokens: integerIn(0, 1_000_000),
  temperature: numberIn(0, 100),
  topK: integerIn(0, 1_000_000),
  topP: numberAbove(0, 1),
  numBeams: integerIn(1, 128),
  lengthPenalty: numberIn(-100, 100),
  repetitionPenalty: numberAbove(0, 100),
  noRepeatNgramSize: integerIn(0, 1000),
  penaltyAlpha: numberIn(0, 1),
  stopSequences: textList(64),
  choices: textList(10_000),
  tokens: boolean,
  logprobs: boolean,
  topLogprobs: integerIn(0, 20),
} satisfies OptionRules & Record<keyof TextOptions, unknown>;

/** Rules of PictureOptions. */
export const pictureRules = {
  ...commonRules,
  width: integerIn(8, 4096),
  height: integerIn(8, 4096),
  steps: integerIn(1, 1000),
  guidanceScale: numberIn(0, 100),
  scheduler: oneOf(...schedulerNames),
  negativePrompt: text,
  safetyChecker: oneOf('black', 'report', 'off'),
  latents: floats,
  previewEvery: integerIn(0, 1000),
} satisfies OptionRules & Record<keyof PictureOptions, unknown>;

/** Rules of GenerateOptions. */
export const generateRules = {
  ...textRules,
  ...pictureRules,
  output: oneOf('text', 'image', 'interleaved'),
} satisfies OptionRules & Record<keyof GenerateOptions, unknown>;

/** How the next token is chosen. */
export type SearchMethod =
  | { readonly kind: 'greedy' }
  | { readonly kind: 'sample'; readonly sampling: SamplingOptions }
  | { readonly kind: 'beams'; readonly numBeams: number; readonly lengthPenalty: number }
  | { readonly kind: 'contrastive'; readonly penaltyAlpha: number; readonly topK: number };

/** TextOptions with every default filled in. */
export interface TextSettings {
  readonly method: SearchMethod;
  readonly maxNewTokens: number;
  /** Whether the caller asked for that many; a default shrinks to what the context has room for. */
  readonly isMaxGiven: boolean;
  readonly minNewTokens: number;
  readonly repetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly stopSequences: readonly string[];
  /** Token ids of each choice, without <s>. */
  readonly choices: readonly (readonly number[])[] | undefined;
  readonly tellsTokens: boolean;
  /** Alternatives to tell of with each token; undefined tells of no probabilities, which cost a pass over the vocabulary. */
  readonly topLogprobs: number | undefined;
  readonly client: string | undefined;
}

/** PictureOptions with every default filled in. */
export interface PictureSettings {
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly scheduler: SchedulerName | undefined;
  readonly negativePrompt: string | undefined;
  readonly safetyChecker: 'black' | 'report' | 'off';
  readonly latents: Float32Array | undefined;
  readonly previewEvery: number;
  readonly client: string | undefined;
}

const configNames: Readonly<Record<string, keyof GenerateOptions>> = {
  max_new_tokens: 'maxNewTokens',
  min_new_tokens: 'minNewTokens',
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  num_beams: 'numBeams',
  length_penalty: 'lengthPenalty',
  repetition_penalty: 'repetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
  penalty_alpha: 'penaltyAlpha',
  num_inference_steps: 'steps',
  guidance_scale: 'guidanceScale',
  width: 'width',
  height: 'height',
};

/**
 * Defaults from a generation_config.json, in our names. `temperature`, `top_k` and `top_p` count only with
 * `do_sample: true`, as in transformers; keys that say nothing here (token ids, versions) are left out.
 * @throws EmuError INVALID_CONFIG for a value that is out of range.
 */
export function configuredDefaults(generation: Readonly<Record<string, unknown>>): GenerateOptions {
  const samples = generation['do_sample'] === true;
  const defaults: Record<string, unknown> = samples ? { temperature: 1 } : {};
  for (const [key, name] of Object.entries(configNames)) {
    const value = generation[key];
    const isForSampling = name === 'temperature' || name === 'topP' || name === 'topK';
    if (value === undefined || value === null || (isForSampling && !samples)) continue;
    defaults[name] = value;
  }
  try {
    checkOptions('generation_config.json', defaults, generateRules);
  } catch (error) {
    const { message, details } = EmuError.from(error);
    throw new EmuError('INVALID_CONFIG', message, { details, cause: error });
  }
  return defaults;
}

/**
 * Fills in what the caller left open: call > generation_config.json > the defaults of the authors' `generate`
 * (Emu1/models/modeling_emu.py:100-118). `encode` turns a choice into tokens.
 * @throws EmuError INVALID_OPTION for options that contradict each other.
 */
export function textSettings(
  call: GenerateOptions,
  configured: GenerateOptions,
  encode: (text: string) => readonly number[],
): TextSettings {
  const { output = 'text' } = call;
  const settings = { ...configured, ...definedOnly(call) };
  const method = searchMethod(call, output === 'interleaved' ? oneByOne(configured) : configured);
  if (output === 'interleaved' && method.kind !== 'greedy' && method.kind !== 'sample') {
    throw contradiction('output "interleaved"', method.kind === 'beams' ? 'numBeams' : 'penaltyAlpha');
  }
  const choices = call.choices?.map(encode);
  const { minNewTokens = 0 } = settings;
  const maxNewTokens = choices === undefined ? (settings.maxNewTokens ?? 50) : roomForChoices(choices, call);
  if (minNewTokens > maxNewTokens) {
    throw new EmuError(
      'INVALID_OPTION',
      `[generate] minNewTokens ${minNewTokens} is more than maxNewTokens ${maxNewTokens}`,
      { details: { minNewTokens, maxNewTokens } },
    );
  }
  return {
    method,
    maxNewTokens,
    isMaxGiven: call.maxNewTokens !== undefined || choices !== undefined,
    minNewTokens,
    repetitionPenalty: settings.repetitionPenalty ?? 1,
    noRepeatNgramSize: settings.noRepeatNgramSize ?? 0,
    stopSequences: call.stopSequences ?? [],
    choices,
    client: call.client,
    tellsTokens: call.tokens === true || call.logprobs === true,
    topLogprobs: call.logprobs === true ? (call.topLogprobs ?? 0) : undefined,
  };
}

/** Pictures come between tokens that are made one by one: beams and candidates in a model's file are for text alone. */
function oneByOne(configured: GenerateOptions): GenerateOptions {
  return { ...configured, numBeams: 1, penaltyAlpha: 0 };
}

/** Tokens of the longest choice and the end after it. @throws EmuError INVALID_OPTION for fewer than it has. */
function roomForChoices(choices: readonly (readonly number[])[], { maxNewTokens }: GenerateOptions): number {
  const longest = Math.max(...choices.map(({ length }) => length));
  if (maxNewTokens === undefined) return longest + 1;
  if (maxNewTokens >= longest) return maxNewTokens;
  throw new EmuError(
    'INVALID_OPTION',
    `[generate] the longest of choices has ${longest} tokens, maxNewTokens is ${maxNewTokens}`,
    { hint: 'Leave out maxNewTokens.', details: { longest, maxNewTokens } },
  );
}

function searchMethod(call: GenerateOptions, configured: GenerateOptions): SearchMethod {
  const settings = { ...configured, ...definedOnly(call) };
  const { penaltyAlpha = 0, topK, topP = 0.9 } = settings;
  const asksToDraw = penaltyAlpha === 0 && (call.topK !== undefined || call.topP !== undefined);
  const temperature = settings.temperature ?? (asksToDraw ? 1 : 0);
  if (penaltyAlpha > 0) {
    if ((call.numBeams ?? 1) > 1) throw contradiction('penaltyAlpha', 'numBeams');
    if (temperature > 0) throw contradiction('penaltyAlpha', 'temperature');
    return { kind: 'contrastive', penaltyAlpha, topK: Math.max(1, topK ?? 4) };
  }
  if (temperature > 0) {
    if ((call.numBeams ?? 1) > 1) throw contradiction(`temperature ${temperature}`, 'numBeams');
    return { kind: 'sample', sampling: { temperature, topK: topK ?? 0, topP } };
  }
  const { numBeams = 5, lengthPenalty = 0 } = settings;
  return numBeams === 1 ? { kind: 'greedy' } : { kind: 'beams', numBeams, lengthPenalty };
}

function contradiction(one: string, other: string): EmuError {
  return new EmuError('INVALID_OPTION', `[generate] ${one} and ${other} cannot be used together`, {
    hint: `Leave out ${other}.`,
    details: { one, other },
  });
}

/**
 * Fills in what the caller left open. side: the default width and height; scale: what both must be multiples of.
 * @throws EmuError INVALID_OPTION for a size that is no multiple.
 */
export function pictureSettings(
  call: PictureOptions,
  configured: GenerateOptions,
  { side, scale }: { readonly side: number; readonly scale: number },
): PictureSettings {
  const settings = { ...configured, ...definedOnly(call) };
  const { width = side, height = side } = settings;
  for (const [name, value] of Object.entries({ width, height })) {
    if (value % scale === 0) continue;
    throw new EmuError('INVALID_OPTION', `[picture] ${name} must be a multiple of ${scale}, got ${value}`, {
      hint: `The nearest is ${Math.max(1, Math.round(value / scale)) * scale}.`,
      details: { [name]: value, multiple: scale },
    });
  }
  return {
    width,
    height,
    steps: settings.steps ?? 50,
    guidanceScale: settings.guidanceScale ?? 7.5,
    scheduler: settings.scheduler,
    negativePrompt: call.negativePrompt,
    safetyChecker: settings.safetyChecker ?? 'black',
    latents: call.latents,
    previewEvery: call.previewEvery ?? 0,
    client: call.client,
  };
}

/** The seed of a call, or one drawn at random: 0..2^53-1. */
export function seedInUse(given: number | bigint | undefined): number | bigint {
  if (given !== undefined) return given;
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 11) * 2 ** 32 + low;
}

function definedOnly<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
