import { EmuError, toFloat32 } from '@emu/program';

import { freshTokenizer } from '../../initialize/fresh-tokenizer.js';
import { openAdapter, withAdapter } from '../../weights/adapter.js';
import { makeFolder } from '../../weights/atomic-file.js';
import type { LoraPair } from '../../weights/canonical-names.js';
import type { WeightDType } from '../../weights/convert-plan.js';
import { openModelFolder } from '../../weights/official-layout.js';
import { readTensor } from '../../weights/read-tensor.js';
import type { TensorEntry } from '../../weights/tensor-source.js';
import { ModelSource } from '../model/model-source.js';
import { writeTrainedModel } from '../model/write-trained-model.js';
import type { TrainedWeights } from '../task.js';

export interface MergeOptions {
  /** Folder of the model. */
  readonly model: string;
  /** Folder of the adapter, in peft's layout. */
  readonly adapter: string;
  /** The folder to write: absent or empty. */
  readonly to: string;
  /** Element type of the matrices; f32 by default. */
  readonly dtype?: WeightDType;
}

/**
 * Writes a model in which every adapted weight W is W + (alpha / rank) B A, so that it runs without adapters. Its
 * tokenizer names [USER] and [ASSISTANT].
 * @throws EmuError as `openAdapter` and `withAdapter`; INVALID_OPTION if the folder holds something else.
 * Source: Hu et al. 2021, section 4.1; peft's `merge_and_unload`.
 */
export async function mergeAdapter({ model, adapter, to, dtype = 'f32' }: MergeOptions): Promise<void> {
  const source = await ModelSource.open({ from: model, seed: 0 });
  const folder = withAdapter(await openModelFolder(model), await openAdapter(adapter));
  const { file, adapters } = folder.multimodal;
  const changed = source.tensors.flatMap(({ sessionName, shape, component }) => {
    if (component !== 'multimodal') return [];
    const inside = sessionName.replace(/^decoder\.lm\./, 'decoder.lm.base_model.model.');
    const entry = file.entries.get(inside);
    return entry === undefined || inside === sessionName
      ? []
      : [{ sessionName, shape, entry, pair: adapters.get(inside) }];
  });
  const byName = new Map(changed.map((tensor) => [tensor.sessionName, tensor]));
  const weights: TrainedWeights = {
    parameters: changed.map(({ sessionName: name, shape }) => ({
      name,
      shape,
      trainable: true,
      group: 'decoder',
    })),
    async read(name) {
      const tensor = byName.get(name);
      if (tensor === undefined) throw new EmuError('INVALID_OPTION', `[adapter] there is no tensor ${name}`);
      const values = await floatsOf(tensor.entry);
      return tensor.pair === undefined ? values : merged(values, tensor.pair);
    },
  };
  await makeFolder(to);
  const { text } = await freshTokenizer(folder.tokenizerFolder ?? model, source.config.llama.vocabulary);
  await writeTrainedModel(source, weights, to, {
    dtype,
    tokenizerFiles: [{ kind: 'text', path: 'tokenizer.json', text }],
  });
}

async function floatsOf(entry: TensorEntry): Promise<Float32Array> {
  return toFloat32(await readTensor(entry));
}

/** W + (alpha / rank) B A, row-major [out,in]; W is changed. */
async function merged(weight: Float32Array, { a, b, rank, alpha }: LoraPair): Promise<Float32Array> {
  const [down, up] = [await floatsOf(a), await floatsOf(b)];
  const inputs = down.length / rank;
  const factor = alpha / rank;
  const row = new Float64Array(inputs);
  for (let out = 0; out < up.length / rank; out++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const share = factor * (up[out * rank + r] ?? 0);
      for (let i = 0; i < inputs; i++) row[i] = (row[i] ?? 0) + share * (down[r * inputs + i] ?? 0);
    }
    for (let i = 0; i < inputs; i++)
      weight[out * inputs + i] = (weight[out * inputs + i] ?? 0) + (row[i] ?? 0);
  }
  return weight;
}
