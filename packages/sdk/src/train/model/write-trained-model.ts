import { EmuError } from '@emu/program';

import { stableDiffusionScheduler, unetJson, vaeJson } from '../../initialize/diffusers-json.js';
import type { ComponentName } from '../../models/components.js';
import type { EmuConfig } from '../../models/config.js';
import { convertedType, planTensors, type WeightDType } from '../../weights/convert-plan.js';
import { ConvertRecord } from '../../weights/convert-record.js';
import {
  generationDefaults,
  jsonText,
  pictureNormalisation,
  type TextFile,
} from '../../weights/convert-texts.js';
import type { TensorToWrite } from '../../weights/safetensors-writer.js';
import { writeModelFolder } from '../../weights/write-model-folder.js';
import { defaultShardBytes } from '../../weights/convert.js';
import type { TrainedWeights } from '../task.js';
import type { ModelSource, ModelTensor } from './model-source.js';

const stems: Readonly<Partial<Record<ComponentName, string>>> = {
  multimodal: 'model',
  unet: 'unet/diffusion_pytorch_model',
  vae: 'vae/diffusion_pytorch_model',
};

/** How a trained model is written. */
export interface WriteTrainedOptions {
  /** Element type of the matrices. */
  readonly dtype: WeightDType;
  /** Sizes that changed in training, such as the VAE's scaling factor; those of the source by default. */
  readonly config?: EmuConfig;
  /** The tokenizer's files; those of the source by default. */
  readonly tokenizerFiles?: readonly TextFile[];
  /** The scheduler_config.json of the visual decoder; that of the source by default. */
  readonly scheduler?: object;
}

/**
 * Writes a whole model folder: what was trained from `weights`, everything else as the source has it. A folder that
 * `Emu.fromPretrained` opens and that the next stage starts from.
 * @throws EmuError INVALID_OPTION if the folder holds something else; what reading and writing throw.
 */
export async function writeTrainedModel(
  source: ModelSource,
  weights: TrainedWeights,
  folder: string,
  { dtype, config = source.config, tokenizerFiles, scheduler = schedulerOf(source) }: WriteTrainedOptions,
): Promise<void> {
  const trained = new Set(weights.parameters.filter(({ trainable }) => trainable).map(({ name }) => name));
  const tensors = new Map<ComponentName, TensorToWrite[]>();
  for (const tensor of source.tensors) {
    const list = tensors.get(tensor.component) ?? [];
    list.push(
      await tensorToWrite(source, tensor, trained.has(tensor.sessionName) ? weights : undefined, dtype),
    );
    tensors.set(tensor.component, list);
  }
  const planned = [...tensors].map(([component, list]) =>
    planTensors(list, stemOf(component), defaultShardBytes),
  );
  const files = planned.flatMap((component) => component.files);
  const texts = [
    ...planned.flatMap(({ index }) => (index ? [jsonText(index.path, index.json)] : [])),
    ...folderTexts(source, { dtype, config, scheduler, ...(tokenizerFiles && { tokenizerFiles }) }),
  ];
  const paths = [...files, ...texts].map(({ path }) => path);
  const record = await ConvertRecord.open(folder, JSON.stringify({ trained: paths }), paths);
  await writeModelFolder(folder, record, files, texts, { phase: 'initialize' });
}

/** The scheduler_config.json that a source's visual decoder is trained with: its own, or Stable Diffusion's. */
export function schedulerOf(source: ModelSource): object {
  return source.folder?.visualDecoder?.scheduler ?? stableDiffusionScheduler;
}

function stemOf(component: ComponentName): string {
  const stem = stems[component];
  if (stem === undefined) throw new EmuError('INTERNAL', `[train] ${component} is not trained`);
  return stem;
}

async function tensorToWrite(
  source: ModelSource,
  tensor: ModelTensor,
  weights: TrainedWeights | undefined,
  dtype: WeightDType,
): Promise<TensorToWrite> {
  const { name, shape, sessionName } = tensor;
  const type = convertedType(name, 'f32', shape, dtype);
  if (weights !== undefined) {
    const values = await weights.read(sessionName);
    return { name, shape, dtype: type, pieces: () => [values] };
  }
  const entry = source.entry(tensor);
  return entry === undefined
    ? { name, shape, dtype: type, pieces: () => source.pieces(sessionName) }
    : { name, shape, dtype: type, source: entry };
}

/** All files other than weights, `config.json` last: it is what makes the folder a model. */
function folderTexts(
  source: ModelSource,
  {
    dtype,
    config,
    scheduler,
    tokenizerFiles,
  }: WriteTrainedOptions & Required<Pick<WriteTrainedOptions, 'config' | 'scheduler'>>,
): readonly TextFile[] {
  const { visual, causalTransformer, llama, visualDecoder } = config;
  const { files = [], ids = {} } = source.stageTokenizer ?? {};
  const side = visual.imageSize;
  const decoder =
    visualDecoder === undefined
      ? []
      : [
          jsonText('unet/config.json', unetJson(visualDecoder.unet)),
          jsonText('vae/config.json', vaeJson(visualDecoder.vae)),
          jsonText('scheduler/scheduler_config.json', scheduler),
          jsonText('model_index.json', {
            _class_name: 'EmuGenerationPipeline',
            unet: ['diffusers', 'UNet2DConditionModel'],
            vae: ['diffusers', 'AutoencoderKL'],
            scheduler: ['diffusers', 'PNDMScheduler'],
          }),
        ];
  return [
    ...(tokenizerFiles ?? files),
    ...decoder,
    jsonText('preprocessor_config.json', { ...pictureNormalisation, size: { height: side, width: side } }),
    jsonText('generation_config.json', { ...generationDefaults, ...source.folder?.generation, ...ids }),
    jsonText('config.json', {
      architectures: ['EmuModel'],
      model_type: 'emu',
      torch_dtype: dtype === 'bf16' ? 'bfloat16' : 'float32',
      emu: { visual, causalTransformer, llama },
    }),
  ];
}
