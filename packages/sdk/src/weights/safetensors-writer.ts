import {
  bytesPerElement,
  elementCount,
  EmuError,
  typeText,
  type DType,
  type Shape,
  type TensorData,
} from '@emu/program';

import { writeFileAtomically } from './atomic-file.js';
import { quoted } from './checkpoint-error.js';
import { canConvert, convertBytes } from './convert-dtype.js';
import { openNodeFile, type NodeFile } from './node-file.js';
import { readExactly } from './random-access.js';
import { formatSafetensorsHeader } from './safetensors-header.js';
import { bytesOf, readTensorFrom, type TensorEntry } from './tensor-source.js';

/**
 * A tensor to write: values at hand, values that are read when their turn comes, an entry of another file, or f32 values
 * that are computed while they are written, in pieces and in order. Entries and pieces are converted on the way if
 * `dtype` differs.
 */
export type TensorToWrite = {
  readonly name: string;
  /** Type in the file to be written. */
  readonly dtype: DType;
  readonly shape: Shape;
} & (
  | { readonly data: TensorData }
  | { readonly read: () => Promise<TensorData> }
  | { readonly source: TensorEntry }
  | { readonly pieces: () => Iterable<Float32Array> }
);

export interface WriteOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Called with the bytes written so far and those of the whole file. */
  readonly onProgress?: (completed: number, total: number) => void;
  /** Called with the bytes of the file, in order, for checksums. */
  readonly onBytes?: (bytes: Uint8Array) => void;
}

const mostBytesAtOnce = 1 << 20;
const chunkElements = 1 << 22;

/** Order of the file: wider types first, so that every tensor is aligned to its elements; then by name. */
function fileOrder(tensors: Iterable<TensorToWrite>): TensorToWrite[] {
  return [...tensors].sort(
    (a, b) =>
      bytesPerElement[b.dtype] - bytesPerElement[a.dtype] || (a.name < b.name ? -1 : Number(a.name > b.name)),
  );
}

function checkTensors(tensors: readonly TensorToWrite[]): void {
  const names = new Set<string>();
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    if (names.has(name) || name === '__metadata__') {
      throw new EmuError('INVALID_OPTION', `[safetensors] tensor name ${quoted(name)} is taken`, {
        details: { tensor: name },
      });
    }
    names.add(name);
    const count = elementCount(shape);
    // Computed values are counted as they come.
    const given =
      'data' in tensor ? tensor.data.length : 'source' in tensor ? elementCount(tensor.source.shape) : count;
    if (!Number.isSafeInteger(count) || given !== count) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[safetensors] tensor ${quoted(name)} is ${typeText(tensor)}, ${count} elements; ${given} came`,
        { details: { tensor: name, shape, given } },
      );
    }
    if ('source' in tensor && !canConvert(tensor.source.dtype, dtype)) {
      throw new EmuError(
        'INVALID_OPTION',
        `[safetensors] tensor ${quoted(name)} is stored as ${tensor.source.dtype} and cannot be written as ${dtype}`,
        { details: { tensor: name, from: tensor.source.dtype, to: dtype } },
      );
    }
    if ('pieces' in tensor && !canConvert('f32', dtype)) {
      throw new EmuError(
        'INVALID_OPTION',
        `[safetensors] tensor ${quoted(name)} is computed as f32 and cannot be written as ${dtype}`,
        { details: { tensor: name, from: 'f32', to: dtype } },
      );
    }
    if ('data' in tensor && tensor.data.byteLength !== count * bytesPerElement[dtype]) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[safetensors] tensor ${quoted(name)} is ${typeText(tensor)}, ${count * bytesPerElement[dtype]} bytes; ` +
          `its data has ${tensor.data.byteLength}`,
        { details: { tensor: name, bytes: tensor.data.byteLength } },
      );
    }
  }
}

/** Keeps the last source file open: the tensors of one file come from few sources. */
class Sources {
  private file: NodeFile | undefined;

  async open(path: string): Promise<NodeFile> {
    if (this.file?.path === path) return this.file;
    await this.close();
    this.file = await openNodeFile(path);
    return this.file;
  }

  async close(): Promise<void> {
    const file = this.file;
    this.file = undefined;
    await file?.close();
  }
}

/** @throws EmuError TENSOR_SHAPE_MISMATCH if the pieces together are not as long as the tensor. */
function* computedPieces(
  tensor: TensorToWrite & { readonly pieces: () => Iterable<Float32Array> },
): Generator<Uint8Array> {
  const needed = elementCount(tensor.shape);
  let given = 0;
  for (const values of tensor.pieces()) {
    given += values.length;
    if (given > needed) break;
    yield convertBytes(bytesOf(values), 'f32', tensor.dtype);
  }
  if (given !== needed) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[safetensors] tensor ${quoted(tensor.name)} is ${typeText(tensor)}, ${needed} elements; ` +
        `${given > needed ? 'more' : given} were computed`,
      { details: { tensor: tensor.name, shape: tensor.shape, given } },
    );
  }
}

/** @throws EmuError TENSOR_SHAPE_MISMATCH if what was read is not as long as the tensor. */
async function readBytes(
  tensor: TensorToWrite & { readonly read: () => Promise<TensorData> },
): Promise<Uint8Array> {
  const bytes = bytesOf(await tensor.read());
  const needed = elementCount(tensor.shape) * bytesPerElement[tensor.dtype];
  if (bytes.length === needed) return bytes;
  throw new EmuError(
    'TENSOR_SHAPE_MISMATCH',
    `[safetensors] tensor ${quoted(tensor.name)} is ${typeText(tensor)}, ${needed} bytes; ${bytes.length} were read`,
    { details: { tensor: tensor.name, bytes: bytes.length } },
  );
}

/** The bytes of a tensor in the order and type of the file, in pieces. */
async function* pieces(tensor: TensorToWrite, sources: Sources): AsyncGenerator<Uint8Array> {
  if ('data' in tensor) {
    yield bytesOf(tensor.data);
    return;
  }
  if ('read' in tensor) {
    yield await readBytes(tensor);
    return;
  }
  if ('pieces' in tensor) {
    yield* computedPieces(tensor);
    return;
  }
  const { source, dtype } = tensor;
  const file = await sources.open(source.file);
  if (source.strides) {
    yield convertBytes(bytesOf((await readTensorFrom(file, source)).data), source.dtype, dtype);
    return;
  }
  const place = { reader: 'weights', path: source.file };
  const count = elementCount(source.shape);
  const size = bytesPerElement[source.dtype];
  for (let done = 0; done < count; done += chunkElements) {
    const length = Math.min(chunkElements, count - done) * size;
    const bytes = await readExactly(
      file,
      source.byteOffset + done * size,
      length,
      place,
      `tensor ${quoted(source.name)}`,
    );
    yield convertBytes(bytes, source.dtype, dtype);
  }
}

/**
 * Writes a safetensors file, streaming: at most 32 MiB of values are in memory for sources with contiguous
 * entries. The bytes depend on the tensors and the metadata alone, not on the order they come in.
 * @returns the size of the file in bytes.
 * @throws EmuError INVALID_OPTION, TENSOR_SHAPE_MISMATCH for tensors that contradict themselves;
 * CHECKPOINT_CORRUPT, MODEL_NOT_FOUND from sources; the signal's reason.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: WriteOptions = {},
): Promise<number> {
  const { metadata = {}, signal, onProgress, onBytes } = options;
  const ordered = fileOrder(tensors);
  checkTensors(ordered);
  const header = formatSafetensorsHeader(ordered, metadata);
  const dataBytes = ordered.reduce(
    (sum, { shape, dtype }) => sum + elementCount(shape) * bytesPerElement[dtype],
    0,
  );
  const total = header.length + dataBytes;
  const sources = new Sources();
  let completed = 0;
  try {
    await writeFileAtomically(path, async (put) => {
      const step = async (bytes: Uint8Array): Promise<void> => {
        // In parts, so that whoever takes a checksum never holds up the event loop for long.
        for (let done = 0; done < bytes.length; done += mostBytesAtOnce) {
          signal?.throwIfAborted();
          const part = bytes.subarray(done, done + mostBytesAtOnce);
          await put(part);
          onBytes?.(part);
          completed += part.length;
          onProgress?.(completed, total);
        }
      };
      await step(header);
      for (const tensor of ordered) {
        for await (const piece of pieces(tensor, sources)) await step(piece);
      }
    });
  } finally {
    await sources.close();
  }
  return total;
}
