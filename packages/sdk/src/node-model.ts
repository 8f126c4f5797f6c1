import { createHash } from 'node:crypto';

import { bytesPerElement, EmuError, toFloat32 } from '@emu/program';

import type { ModelFiles } from './session.js';
import { readTokenizer } from './tokenizer/node.js';
import { openModelFolder, type ModelFolder, type OpenModelOptions } from './weights/official-layout.js';
import { readTensor } from './weights/read-tensor.js';
import type { TensorEntry } from './weights/tensor-source.js';

/**
 * Finds a model on disk: folder in the published layout, converted folder, or checkpoint file.
 * @throws EmuError MODEL_NOT_FOUND, CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE, INVALID_CONFIG.
 */
export async function readModelFiles(path: string, options: OpenModelOptions = {}): Promise<ModelFiles> {
  const folder = await openModelFolder(path, options);
  const { visualDecoder, tokenizerFolder } = folder;
  if (tokenizerFolder === undefined) {
    throw new EmuError(
      'MODEL_NOT_FOUND',
      `[tokenizer] no tokenizer.json or tokenizer.model was found for ${path}`,
      {
        hint: "Put LLaMA's tokenizer.model into the folder, or into llama_config/ below it.",
        details: { path },
      },
    );
  }
  const tokenizer = await readTokenizer(tokenizerFolder, { instruct: isInstruct(folder) });
  const { vocabulary } = folder.config.llama;
  if (tokenizer.vocabularySize > vocabulary) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[tokenizer] has ${tokenizer.vocabularySize} tokens, the model's table ${vocabulary} rows (${tokenizerFolder})`,
      { details: { tokens: tokenizer.vocabularySize, rows: vocabulary } },
    );
  }
  const { unet, vae, safetyChecker, scheduler, featureExtractor } = visualDecoder ?? {};
  return {
    name: path,
    config: folder.config,
    tokenizer,
    space: await spaceOf(folder),
    checkpoints: {
      multimodal: folder.multimodal.file,
      ...(unet && { unet }),
      ...(vae && { vae }),
      ...(safetyChecker && { safetyChecker }),
    },
    generation: folder.generation,
    ...(scheduler && { scheduler }),
    ...(featureExtractor && { featureExtractor }),
    readFloats: async (entry) => toFloat32(await readTensor(entry)),
  };
}

// LLaMA's 32000 tokens and 4 for pictures; the roles of a conversation make it two more.
const tokensWithoutRoles = 32_004;

function isInstruct({ multimodal, config }: ModelFolder): boolean {
  return multimodal.lora !== undefined || config.llama.vocabulary >= tokensWithoutRoles + 2;
}

const mostHashedBytes = 2 ** 24;

/** A fingerprint of the last layer that makes visual embeddings: it differs when the space does. */
async function spaceOf({ multimodal, config }: ModelFolder): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(config.causalTransformer));
  for (const name of ['cformer.projection.weight', 'cformer.projection.bias', 'cformer.causal_tokens']) {
    const entry = multimodal.file.entries.get(name);
    if (entry === undefined || bytesOf(entry) > mostHashedBytes) continue;
    const floats = toFloat32(await readTensor(entry));
    hash.update(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength));
  }
  return `emu-${hash.digest('hex').slice(0, 16)}`;
}

function bytesOf({ shape, dtype }: TensorEntry): number {
  return shape.reduce((count, side) => count * side, bytesPerElement[dtype]);
}
