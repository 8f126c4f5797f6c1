// The op list. An op's C++ home is the folder of the same name in cpp/ops; a test compares the two lists.
import { EmuError } from '../errors.js';
import type { OpDefinition } from '../op.js';
import { linearOp } from './linear.js';
import { convolutionOp } from './convolution.js';
import { convolutionGradientInputOp } from './convolution-gradient-input.js';
import { convolutionGradientWeightOp } from './convolution-gradient-weight.js';
import { matmulOp } from './matmul.js';
import { embeddingOp } from './embedding.js';
import { rmsNormOp } from './rms-norm.js';
import { layerNormOp } from './layer-norm.js';
import { groupNormOp } from './group-norm.js';
import { attentionOp } from './attention.js';
import { cacheWriteOp } from './cache-write.js';
import { cachedAttentionOp } from './cached-attention.js';
import { cachePageCopyOp } from './cache-page-copy.js';
import { rotaryEmbeddingOp } from './rotary-embedding.js';
import { replaceRowsOp } from './replace-rows.js';
import { replaceRowsGradientOp } from './replace-rows-gradient.js';
import { gatherRowsOp } from './gather-rows.js';
import { addOp } from './add.js';
import { multiplyOp } from './multiply.js';
import { scaleOp } from './scale.js';
import { activationOp } from './activation.js';
import { gatedActivationOp } from './gated-activation.js';
import { concatOp } from './concat.js';
import { sliceOp } from './slice.js';
import { reshapeOp } from './reshape.js';
import { permuteOp } from './permute.js';
import { upsampleNearestOp } from './upsample-nearest.js';
import { logSoftmaxOp } from './log-softmax.js';
import { crossEntropyOp } from './cross-entropy.js';
import { castOp } from './cast.js';
import { sumToOp } from './sum-to.js';
import { fillOp } from './fill.js';
import { activationGradientOp } from './activation-gradient.js';
import { gatedActivationGradientOp } from './gated-activation-gradient.js';
import { upsampleNearestGradientOp } from './upsample-nearest-gradient.js';
import { stopGradientOp } from './stop-gradient.js';
import { dropoutOp } from './dropout.js';
import { exponentialOp } from './exponential.js';
import { squaredErrorOp } from './squared-error.js';
import { scatterAddRowsOp } from './scatter-add-rows.js';
import { accumulateOp } from './accumulate.js';
import { accumulateMatmulOp } from './accumulate-matmul.js';
import { sumOfSquaresOp } from './sum-of-squares.js';
import { adamwOp } from './adamw.js';
import { attentionGradientOp } from './attention-gradient.js';
import { layerNormGradientOp } from './layer-norm-gradient.js';
import { rmsNormGradientOp } from './rms-norm-gradient.js';
import { groupNormGradientOp } from './group-norm-gradient.js';
import { crossEntropyGradientOp } from './cross-entropy-gradient.js';
import { linearCrossEntropyWithGradientsOp } from './linear-cross-entropy-with-gradients.js';
import { logSoftmaxGradientOp } from './log-softmax-gradient.js';

const list: readonly OpDefinition[] = [
  linearOp,
  convolutionOp,
  convolutionGradientInputOp,
  convolutionGradientWeightOp,
  matmulOp,
  embeddingOp,
  rmsNormOp,
  layerNormOp,
  groupNormOp,
  attentionOp,
  cacheWriteOp,
  cachedAttentionOp,
  cachePageCopyOp,
  rotaryEmbeddingOp,
  replaceRowsOp,
  replaceRowsGradientOp,
  gatherRowsOp,
  addOp,
  multiplyOp,
  scaleOp,
  activationOp,
  gatedActivationOp,
  concatOp,
  sliceOp,
  reshapeOp,
  permuteOp,
  upsampleNearestOp,
  logSoftmaxOp,
  crossEntropyOp,
  castOp,
  sumToOp,
  fillOp,
  activationGradientOp,
  gatedActivationGradientOp,
  upsampleNearestGradientOp,
  stopGradientOp,
  dropoutOp,
  exponentialOp,
  squaredErrorOp,
  scatterAddRowsOp,
  accumulateOp,
  accumulateMatmulOp,
  sumOfSquaresOp,
  adamwOp,
  attentionGradientOp,
  layerNormGradientOp,
  rmsNormGradientOp,
  groupNormGradientOp,
  crossEntropyGradientOp,
  linearCrossEntropyWithGradientsOp,
  logSoftmaxGradientOp,
];
const definitions: ReadonlyMap<string, OpDefinition> = new Map(list.map((op) => [op.name, op]));

/** @throws EmuError INVALID_OPTION for a name that is not in the op list. */
export function definitionOf(name: string): OpDefinition {
  const definition = definitions.get(name);
  if (definition === undefined) {
    throw new EmuError('INVALID_OPTION', `[program] no op is called "${name}"`, {
      hint: `The ops are ${[...definitions.keys()].join(', ')}.`,
      details: { op: name },
    });
  }
  return definition;
}

/** Names of all ops, in the order of the list. */
export function opNames(): readonly string[] {
  return [...definitions.keys()];
}

export * from './activation-kind.js';
export * from './linear.js';
export * from './convolution.js';
export * from './convolution-gradient-input.js';
export * from './convolution-gradient-weight.js';
export * from './matmul.js';
export type { ProductPrecision } from './precision.js';
export * from './embedding.js';
export * from './rms-norm.js';
export type { GroupNormOptions, NormOptions } from './norm-options.js';
export * from './layer-norm.js';
export * from './group-norm.js';
export * from './attention.js';
export type { AttentionOptions } from './attention-call.js';
export * from './cache-write.js';
export * from './cached-attention.js';
export * from './cache-page-copy.js';
export * from './rotary-embedding.js';
export * from './replace-rows.js';
export * from './replace-rows-gradient.js';
export * from './gather-rows.js';
export * from './add.js';
export * from './multiply.js';
export * from './scale.js';
export * from './activation.js';
export * from './gated-activation.js';
export * from './concat.js';
export * from './slice.js';
export * from './reshape.js';
export * from './permute.js';
export * from './upsample-nearest.js';
export * from './log-softmax.js';
export * from './cross-entropy.js';
export * from './ignored-target.js';
export * from './cast.js';
export * from './sum-to.js';
export * from './fill.js';
export * from './activation-gradient.js';
export * from './gated-activation-gradient.js';
export * from './upsample-nearest-gradient.js';
export * from './stop-gradient.js';
export * from './dropout.js';
export * from './exponential.js';
export * from './squared-error.js';
export * from './scatter-add-rows.js';
export * from './accumulate.js';
export * from './accumulate-matmul.js';
export * from './sum-of-squares.js';
export * from './adamw.js';
export * from './attention-gradient.js';
export * from './layer-norm-gradient.js';
export * from './rms-norm-gradient.js';
export * from './group-norm-gradient.js';
export * from './cross-entropy-gradient.js';
export * from './linear-cross-entropy-with-gradients.js';
export * from './log-softmax-gradient.js';
