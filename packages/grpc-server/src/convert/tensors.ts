import { create } from '@bufbuild/protobuf';
import {
  elementCount,
  floatTensor,
  numberToBf16,
  toFloat32,
  type EmuError,
  type FloatTensor,
  type Shape,
} from '@emu/program';
import { DataType, TensorSchema, type Tensor } from '@emu/proto';

import { badField } from './fields.js';
import { numberToF16 } from './half.js';

const bytesOf: Readonly<Record<number, number>> = {
  [DataType.F32]: 4,
  [DataType.F16]: 2,
  [DataType.BF16]: 2,
};
const mostElements = 2 ** 24;
const mostAxes = 8;

/**
 * A tensor of a request as f32.
 * @throws EmuError TENSOR_SHAPE_MISMATCH when shape and bytes do not fit, INVALID_OPTION for another type,
 *   NON_FINITE for NaN or infinity, each with the field.
 */
export function readTensor(tensor: Tensor | undefined, field: string): FloatTensor {
  if (tensor === undefined) throw mismatch(field, 'is missing', 'Send data_type, shape and data.');
  const { dataType, shape, data } = tensor;
  const size = bytesOf[dataType];
  if (size === undefined) {
    throw badField(
      `${field}.data_type`,
      `must be DATA_TYPE_F32, DATA_TYPE_F16 or DATA_TYPE_BF16, got ${dataType}`,
      {
        details: { dataType },
      },
    );
  }
  const count = elementCount(shape);
  if (shape.length === 0 || shape.length > mostAxes || count < 1 || count > mostElements) {
    throw mismatch(
      `${field}.shape`,
      `[${shape.slice(0, mostAxes).join(',')}] is no shape of 1..${mostElements} elements`,
    );
  }
  if (data.length !== count * size) {
    throw mismatch(
      `${field}.data`,
      `has ${data.length} bytes, [${shape.join(',')}] of ${DataType[dataType]} are ${count * size}`,
    );
  }
  const values = floatsOf(dataType, data);
  const index = values.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return floatTensor(shape, values);
  throw badField(`${field}.data`, `element ${index} is ${values[index]}`, {
    code: 'NON_FINITE',
    hint: 'Send finite numbers.',
    details: { index },
  });
}

/** Values as a tensor of the wire; an unset type is f32. @throws EmuError INVALID_OPTION for an unknown type. */
export function writeTensor(values: Float32Array, shape: Shape, dataType: DataType): Tensor {
  return create(TensorSchema, {
    dataType: dataType || DataType.F32,
    shape: [...shape],
    data: bytesFor(values, dataType),
  });
}

/** @throws EmuError INVALID_OPTION for an unknown type; unset is allowed. */
export function checkDataType(field: string, dataType: DataType): void {
  if (dataType === DataType.UNSPECIFIED || dataType in bytesOf) return;
  throw badField(field, `must be DATA_TYPE_F32, DATA_TYPE_F16 or DATA_TYPE_BF16, got ${dataType}`, {
    details: { dataType },
  });
}

// The wire is little-endian, and so is every platform that Node runs on with our binaries.
function floatsOf(dataType: DataType, data: Uint8Array): Float32Array {
  // A copy, since views of four bytes want an address of that kind. Not slice(): a Buffer's is no copy.
  const aligned = new Uint8Array(data);
  if (dataType === DataType.F32) return new Float32Array(aligned.buffer);
  const dtype = dataType === DataType.F16 ? 'f16' : 'bf16';
  const halves = new Uint16Array(aligned.buffer);
  return toFloat32({ dtype, shape: [halves.length], data: halves });
}

function bytesFor(values: Float32Array, dataType: DataType): Uint8Array<ArrayBuffer> {
  if (dataType !== DataType.F16 && dataType !== DataType.BF16)
    return new Uint8Array(Float32Array.from(values).buffer);
  const convert = dataType === DataType.F16 ? numberToF16 : numberToBf16;
  return new Uint8Array(Uint16Array.from(values, convert).buffer);
}

function mismatch(field: string, message: string, hint?: string): EmuError {
  return badField(field, message, { code: 'TENSOR_SHAPE_MISMATCH', ...(hint === undefined ? {} : { hint }) });
}
