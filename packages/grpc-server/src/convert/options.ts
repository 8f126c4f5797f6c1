import { EmuError } from '@emu/program';
import { ImageFormat, SafetyMode, type ImageOptions, type SamplingOptions } from '@emu/proto';
import { pictureRules, textRules, type PictureOptions, type TextOptions } from '@emu/sdk';
import { vaeScale } from '@emu/sdk/models';

import type { Limits } from '../limits.js';
import type { ServedModel } from '../served-model.js';
import { badField, checkCharacters, checkCount, wireName } from './fields.js';
import { readTensor } from './tensors.js';

type Rules = typeof textRules & typeof pictureRules;

/** Options of text. @throws EmuError INVALID_OPTION naming the field, what came and what is accepted. */
export function readSampling(sampling: SamplingOptions | undefined, limits: Limits): TextOptions {
  if (sampling === undefined) return {};
  const { stopSequences, choices, ...rest } = sampling;
  const scalars = Object.entries(rest).filter(([name]) => !name.startsWith('$'));
  const options = {
    ...definedOnly(Object.fromEntries(scalars)),
    ...(stopSequences.length > 0 && { stopSequences }),
    ...(choices.length > 0 && { choices }),
  } as TextOptions;
  checkCount('sampling.choices', choices.length, limits.maxCandidates);
  checkCharacters('sampling.choices', ...choices);
  checkCharacters('sampling.stop_sequences', ...stopSequences);
  checkRules('sampling', options, textRules);
  checkMost('sampling.max_new_tokens', options.maxNewTokens, limits.maxNewTokens);
  checkMost('sampling.num_beams', options.numBeams, limits.maxBeams);
  checkMost('sampling.top_k', options.penaltyAlpha === undefined ? undefined : options.topK, limits.maxBeams);
  return options;
}

/** What a server lets callers decide about its safety checker. */
export interface SafetyPolicy {
  /** Whether callers may see flagged pictures. */
  readonly allowUnsafe: boolean;
}

/**
 * What latents of a request are must be what the model's pictures of that size begin with.
 * @throws EmuError TENSOR_SHAPE_MISMATCH with the field.
 */
export function checkLatents(given: ImageOptions | undefined, { emu }: ServedModel): void {
  const { visualDecoder } = emu.model.config;
  if (given?.latents === undefined || visualDecoder === undefined) return;
  const { unet, vae } = visualDecoder;
  const scale = vaeScale(vae);
  const sides = [given.height, given.width].map((side) => (side ?? unet.sampleSize * scale) / scale);
  const needed = [1, unet.inChannels, ...sides].join(',');
  const shape = given.latents.shape.join(',');
  if (shape === needed) return;
  throw badField(
    'image.latents.shape',
    `is [${shape.slice(0, 80)}], a picture of this size begins with [${needed}]`,
    {
      code: 'TENSOR_SHAPE_MISMATCH',
      hint: 'Give latents of the width and height that the request asks for.',
      details: { shape, needed },
    },
  );
}

/** Options of pictures. @throws EmuError INVALID_OPTION, TENSOR_SHAPE_MISMATCH, PERMISSION_DENIED with the field. */
export function readPicture(
  given: ImageOptions | undefined,
  limits: Limits,
  { allowUnsafe }: SafetyPolicy,
): PictureOptions {
  if (given === undefined) return {};
  const { width, height, steps, guidanceScale, scheduler, negativePrompt, latents } = given;
  const safetyChecker = safetyOf(given.safety, allowUnsafe);
  const values = {
    width,
    height,
    steps,
    guidanceScale,
    scheduler,
    negativePrompt,
    safetyChecker,
    previewEvery: given.previewInterval,
    latents: latents === undefined ? undefined : readTensor(latents, 'image.latents').data,
  };
  const options = definedOnly(values) as PictureOptions;
  checkRules('image', options, pictureRules);
  checkCharacters('image.negative_prompt', negativePrompt ?? '');
  checkMost('image.steps', steps, limits.maxSteps);
  const pixels = (width ?? height ?? 0) * (height ?? width ?? 0);
  if (pixels > limits.maxOutputPixels) {
    throw badField(
      'image.width',
      `times image.height is ${pixels}, at most ${limits.maxOutputPixels} pixels are accepted`,
      {
        details: { pixels, most: limits.maxOutputPixels },
      },
    );
  }
  return options;
}

/** @throws EmuError INVALID_OPTION for an unknown format. */
export function readFormat(given: ImageOptions | undefined): ImageFormat {
  const format = given?.format ?? ImageFormat.UNSPECIFIED;
  if (format === ImageFormat.UNSPECIFIED) return ImageFormat.PNG;
  if (format in ImageFormat) return format;
  throw badField('image.format', `${format} is no ImageFormat`, { details: { format } });
}

function safetyOf(mode: SafetyMode, allowUnsafe: boolean): PictureOptions['safetyChecker'] {
  if (mode === SafetyMode.UNSPECIFIED) return undefined;
  if (mode === SafetyMode.BLACK) return 'black';
  if (!(mode in SafetyMode))
    throw badField('image.safety', `${mode} is no SafetyMode`, { details: { mode } });
  if (allowUnsafe) return mode === SafetyMode.REPORT ? 'report' : 'off';
  throw badField('image.safety', `${SafetyMode[mode]} is not allowed on this server`, {
    code: 'PERMISSION_DENIED',
    hint: 'Leave it out; flagged pictures come black.',
  });
}

/** The SDK's own rules, told of the names of the wire. */
function checkRules(message: string, options: object, rules: Partial<Rules>): void {
  for (const [name, value] of Object.entries(options) as [keyof Rules, unknown][]) {
    const rule = rules[name];
    if (rule === undefined) throw new EmuError('INTERNAL', `[${message}] there is no rule for ${name}`);
    if (rule.accepts(value)) continue;
    const shown = typeof value === 'number' ? String(value) : JSON.stringify(value).slice(0, 80);
    const field = name === 'previewEvery' ? 'preview_interval' : wireName(name);
    throw badField(`${message}.${field}`, `must be ${rule.describe}, got ${shown}`, {
      details: { value: shown },
    });
  }
}

function checkMost(field: string, value: number | undefined, most: number): void {
  if (value === undefined || value <= most) return;
  throw badField(field, `is ${value}, this server accepts at most ${most}`, { details: { value, most } });
}

function definedOnly<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
