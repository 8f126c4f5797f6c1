import { join } from 'node:path';

import type { LoraConfig } from '../../models/config.js';
import { adapterConfigName, adapterPrefix, adapterWeightsName } from '../../weights/adapter.js';
import { writeFileAtomically } from '../../weights/atomic-file.js';
import { convertedType, type WeightDType } from '../../weights/convert-plan.js';
import { writeSafetensors, type TensorToWrite } from '../../weights/safetensors-writer.js';

/** A tensor of an adapter, by its name in programs. */
export interface AdapterTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What an adapter's files say besides its tensors. */
export interface AdapterDescription {
  readonly lora: LoraConfig;
  readonly dropout: number;
  /** Path of the model that it belongs to, for people. */
  readonly baseModel: string;
  readonly dtype: WeightDType;
}

/** The language model in programs whose projections carry adapters, as in official checkpoints. */
const sessionPrefix = 'decoder.lm.base_model.model.';

/**
 * Writes adapters in peft's layout: `adapter_model.safetensors` under peft's names and `adapter_config.json`, the latter
 * last. Names begin where peft's wrapper of the language model does.
 */
export async function writeAdapter(
  folder: string,
  tensors: readonly AdapterTensor[],
  { lora, dropout, baseModel, dtype }: AdapterDescription,
): Promise<void> {
  const written = tensors.map(({ name, shape, values }): TensorToWrite => {
    const inside = name.startsWith(sessionPrefix) ? name.slice(sessionPrefix.length) : name;
    const peftName = adapterPrefix + inside.replace(/\.lora_([AB])\.default\.weight$/, '.lora_$1.weight');
    return {
      name: peftName,
      shape,
      dtype: convertedType(peftName, 'f32', shape, dtype),
      pieces: () => [values],
    };
  });
  await writeSafetensors(join(folder, adapterWeightsName), written, { metadata: { format: 'pt' } });
  const config = {
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: lora.alpha,
    lora_dropout: dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: lora.rank,
    target_modules: lora.targets,
    task_type: 'CAUSAL_LM',
  };
  const text = new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`);
  await writeFileAtomically(join(folder, adapterConfigName), (put) => put(text));
}
