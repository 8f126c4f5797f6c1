import { EmuError } from '@emu/program';

const f = Math.fround;

/**
 * Classifier-free guidance (Ho and Salimans 2022): uncond + scale (cond - uncond), in f32.
 *
 * rows: [2, ...] f32, the conditional row FIRST, as Emu's pipeline orders it (models/pipeline.py:123); diffusers'
 * own pipelines have it the other way. -> [...] f32. scale 1 is the conditional row up to rounding.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if rows cannot be halved, INVALID_OPTION for a scale that is not finite.
 */
export function classifierFreeGuidance(rows: Float32Array, scale: number): Float32Array {
  if (rows.length === 0 || rows.length % 2 !== 0) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[guidance] ${rows.length} elements are not two rows [conditional, unconditional]`,
      { details: { length: rows.length } },
    );
  }
  if (!Number.isFinite(scale)) {
    throw new EmuError('INVALID_OPTION', `[guidance] guidanceScale must be finite, got ${scale}`, {
      details: { guidanceScale: scale },
    });
  }
  const half = rows.length / 2;
  const weight = f(scale);
  const out = new Float32Array(half);
  for (let i = 0; i < half; i++) {
    const conditional = rows[i] as number;
    const unconditional = rows[half + i] as number;
    out[i] = unconditional + f(weight * f(conditional - unconditional));
  }
  return out;
}
