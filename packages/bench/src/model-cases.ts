import { readFile } from 'node:fs/promises';

import {
  decoderProgram,
  encodeImagesProgram,
  programFlops,
  unetProgram,
  type EmuConfig,
} from '@emu/sdk/models';
import type { Program, TensorData } from '@emu/program';

import type { BenchCase } from './bench-case.js';

type WeightDtype = 'f32' | 'bf16';

const contextRows = 512;
const pageSize = 16;

/** ViT-g, one decoder layer of the 13B geometry and one guided U-Net step of SD-1.5's, at the paper's sizes. */
export async function modelCases(): Promise<readonly BenchCase[]> {
  const path = new URL('../../../models/emu-14b.json', import.meta.url);
  const config = JSON.parse(await readFile(path, 'utf8')) as EmuConfig;
  return (['f32', 'bf16'] as const).flatMap((dtype) => [
    visionCase(config, dtype),
    prefillCase(config, dtype),
    decodeCase(config, dtype),
    unetCase(config, dtype),
  ]);
}

function visionCase(config: EmuConfig, dtype: WeightDtype): BenchCase {
  const { imageSize, patchSize, width, mlpWidth, layers } = config.visual;
  const tokens = (imageSize / patchSize) ** 2 + 1;
  const perLayer = 2 * tokens * width * (4 * width + 2 * mlpWidth) + 4 * tokens * tokens * width;
  return {
    name: `ViT-g forward ${dtype} 1x${imageSize}x${imageSize}`,
    suite: 'model',
    program: () => encodeImagesProgram(config, 1, { precision: { matrices: dtype } }),
    work: { kind: 'flops', amount: layers * perLayer, dtype },
    peer: {
      kind: 'vision',
      dtype,
      sizes: { imageSize, patchSize, width, mlpWidth, layers, heads: width / config.visual.headWidth },
    },
  };
}

/** Parameters of one LLaMA layer's matrices. */
function layerParameters({ width, feedForwardWidth }: EmuConfig['llama']): number {
  return 4 * width * width + 3 * width * feedForwardWidth;
}

function layerProgram(config: EmuConfig, rows: number, dtype: WeightDtype): Program {
  const pages = (2 * contextRows) / pageSize;
  // One layer, and heads too small to matter: the case times the layer.
  const llama = { ...config.llama, layers: 1, vocabulary: 64 };
  const cache = { slots: 1, pages, pageSize, pagesPerSlot: pages, cacheDtype: dtype };
  return decoderProgram(llama, {
    ...cache,
    rows,
    logitRows: 1,
    outputs: ['hidden'],
    precision: { matrices: dtype },
  });
}

function layerInputs(rows: number, firstPosition: number): Readonly<Record<string, TensorData>> {
  const pages = (2 * contextRows) / pageSize;
  return {
    ids: new Int32Array(rows),
    slot: new Int32Array(rows),
    position: Int32Array.from({ length: rows }, (_, row) => firstPosition + row),
    pageTable: Int32Array.from({ length: pages }, (_, page) => page),
    logitIndex: Int32Array.of(rows - 1),
  };
}

function prefillCase(config: EmuConfig, dtype: WeightDtype): BenchCase {
  const { width, heads, feedForwardWidth } = config.llama;
  const attention = (4 * contextRows * (contextRows + 1) * width) / 2;
  return {
    name: `decoder layer 13B ${dtype} prefill ${contextRows}`,
    suite: 'model',
    program: () => layerProgram(config, contextRows, dtype),
    inputs: () => layerInputs(contextRows, 0),
    work: { kind: 'flops', amount: 2 * contextRows * layerParameters(config.llama) + attention, dtype },
    peer: {
      kind: 'decoder',
      dtype,
      sizes: { rows: contextRows, context: 0, width, heads, feedForwardWidth },
    },
  };
}

function decodeCase(config: EmuConfig, dtype: WeightDtype): BenchCase {
  const { width, heads, feedForwardWidth } = config.llama;
  const bytes = dtype === 'f32' ? 4 : 2;
  return {
    name: `decoder layer 13B ${dtype} decode at ${contextRows}`,
    suite: 'model',
    program: () => layerProgram(config, 1, dtype),
    inputs: () => layerInputs(1, contextRows),
    work: { kind: 'bytes', amount: bytes * (layerParameters(config.llama) + 2 * contextRows * width), dtype },
    peer: {
      kind: 'decoder',
      dtype,
      sizes: { rows: 1, context: contextRows, width, heads, feedForwardWidth },
    },
  };
}

function unetCase(config: EmuConfig, dtype: WeightDtype): BenchCase {
  const { visualDecoder } = config;
  if (visualDecoder === undefined) throw new Error('models/emu-14b.json has no visual decoder');
  const { unet } = visualDecoder;
  const tokens = config.causalTransformer.queries;
  const side = unet.sampleSize;
  const program = () =>
    unetProgram(unet, { batch: 2, height: side, width: side, tokens }, { precision: { matrices: dtype } });
  return {
    name: `U-Net step SD-1.5 ${dtype} guided ${8 * side}x${8 * side}`,
    suite: 'model',
    program,
    work: { kind: 'flops', amount: programFlops(program()), dtype },
    peer: { kind: 'unet', dtype, sizes: { batch: 2, side, tokens, crossWidth: unet.crossAttentionWidth } },
  };
}
