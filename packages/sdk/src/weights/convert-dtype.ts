import { allocate, bytesPerElement, EmuError, toFloat32, type DType } from '@emu/program';

import { bytesOf } from './tensor-source.js';

const floats: readonly DType[] = ['f64', 'f32', 'f16', 'bf16'];

/** True when `convertBytes` can go from one type to the other. */
export function canConvert(from: DType, to: DType): boolean {
  return from === to || (floats.includes(from) && (to === 'f32' || to === 'bf16'));
}

/** Rounds f32 patterns to bf16: nearest, ties to even; NaN stays NaN. */
function f32ToBf16(bits: Uint32Array): Uint16Array {
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i] ?? 0;
    const isNan = (value & 0x7fffffff) > 0x7f800000;
    out[i] = isNan ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return out;
}

function bf16ToF32(bits: Uint16Array): Uint32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = (bits[i] ?? 0) << 16;
  return out;
}

/**
 * Converts little-endian elements between float types, rounding to nearest, ties to even (f64 to bf16 rounds to
 * f32 on the way). Equal types give the bytes themselves.
 * @throws EmuError INVALID_OPTION for pairs of types that are not floats.
 */
export function convertBytes(bytes: Uint8Array, from: DType, to: DType): Uint8Array {
  if (from === to) return bytes;
  if (!canConvert(from, to)) {
    throw new EmuError('INVALID_OPTION', `[weights] ${from} values cannot be written as ${to}`, {
      details: { from, to },
    });
  }
  const data = allocate(from, bytes.length / bytesPerElement[from]);
  bytesOf(data).set(bytes);
  if (from === 'bf16' && data instanceof Uint16Array) return bytesOf32(bf16ToF32(data));
  const values = data instanceof Float32Array ? data : toFloat32({ dtype: from, shape: [data.length], data });
  if (to === 'f32') return bytesOf(values);
  return bytesOf(f32ToBf16(new Uint32Array(values.buffer, values.byteOffset, values.length)));
}

function bytesOf32(bits: Uint32Array): Uint8Array {
  return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
}
