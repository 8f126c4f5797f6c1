import { bytesPerElement, elementCount, type DType, type Shape } from '@emu/program';

import type { TensorToWrite } from './safetensors-writer.js';
import type { TensorFile } from './tensor-source.js';

/** Element type of the converted weights. */
export type WeightDType = 'f32' | 'bf16';

const floats: readonly DType[] = ['f64', 'f32', 'f16', 'bf16'];

/**
 * The type a tensor gets in a converted file. With `bf16`, matrices, convolutions and token tables (names ending
 * in `.weight`, two axes or more) become bf16: they are all but a thousandth of the bytes. Norms, biases, position
 * tables and learned queries stay f32: they are added to or multiply every activation, so their rounding would
 * show in the logits and save nothing. Integers and booleans keep their type.
 */
export function convertedType(name: string, dtype: DType, shape: Shape, weights: WeightDType): DType {
  if (!floats.includes(dtype)) return dtype;
  return weights === 'bf16' && shape.length >= 2 && name.endsWith('.weight') ? 'bf16' : 'f32';
}

/** One file to be written. */
export interface PlannedFile {
  /** Relative to the target folder, with `/`. */
  readonly path: string;
  readonly tensors: readonly TensorToWrite[];
  readonly bytes: number;
}

/** The files of one component, and its index when there are several. */
export interface PlannedComponent {
  readonly files: readonly PlannedFile[];
  readonly index?: { readonly path: string; readonly json: unknown };
}

function byteCount({ shape, dtype }: { readonly shape: Shape; readonly dtype: DType }): number {
  return elementCount(shape) * bytesPerElement[dtype];
}

/** Fills shards in order of names, each up to `maxShardBytes`; a tensor larger than that gets its own. */
function shards(tensors: readonly TensorToWrite[], maxShardBytes: number): TensorToWrite[][] {
  const result: TensorToWrite[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = byteCount(tensor);
    const last = result.at(-1);
    if (last && bytes <= room) {
      last.push(tensor);
      room -= bytes;
    } else {
      result.push([tensor]);
      room = maxShardBytes - bytes;
    }
  }
  return result;
}

/** Plans the files of a component that is read from another file. `typeOf` gives the type in the new file. */
export function planComponent(
  file: TensorFile,
  stem: string,
  maxShardBytes: number,
  typeOf: (name: string, dtype: DType, shape: Shape) => DType,
): PlannedComponent {
  const tensors = [...file.entries.values()].map((source): TensorToWrite => {
    const { name, dtype, shape } = source;
    return { name, shape, dtype: typeOf(name, dtype, shape), source };
  });
  return planTensors(tensors, stem, maxShardBytes);
}

/**
 * Plans the files of one component. `stem` is the name without ending, with its folder: `unet/diffusion_pytorch_model`.
 */
export function planTensors(
  tensors: readonly TensorToWrite[],
  stem: string,
  maxShardBytes: number,
): PlannedComponent {
  const groups = shards(
    [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1)),
    maxShardBytes,
  );
  const number = (index: number): string => String(index).padStart(5, '0');
  const files = groups.map((group, index): PlannedFile => {
    const suffix = groups.length === 1 ? '' : `-${number(index + 1)}-of-${number(groups.length)}`;
    const bytes = group.reduce((sum, tensor) => sum + byteCount(tensor), 0);
    return { path: `${stem}${suffix}.safetensors`, tensors: group, bytes };
  });
  if (files.length <= 1) return { files };
  const folder = stem.slice(0, stem.lastIndexOf('/') + 1);
  const weightMap = files.flatMap(({ path, tensors: group }) =>
    group.map(({ name }) => [name, path.slice(folder.length)] as const),
  );
  const json = {
    metadata: { total_size: files.reduce((sum, { bytes }) => sum + bytes, 0) },
    weight_map: Object.fromEntries(weightMap.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  return { files, index: { path: `${stem}.safetensors.index.json`, json } };
}
