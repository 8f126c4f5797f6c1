import { elementCount, EmuError, floatTensor, Philox } from '@emu/program';
import type { FloatTensor } from '@emu/program';

/** Bounds the allocation: a latent of 2^28 values is 1 GiB. */
const maxElements = 2 ** 28;

/**
 * Unit-normal noise in the given shape, f32: draw i of `Philox(seed, stream).nextNormal()`, rounded to f32, in
 * row-major order. It is drawn here for every backend, so a seed means the same picture on all of them.
 *
 * stream: for several independent tensors of one seed, e.g. the picture's index; 0..2^32-1.
 * @throws EmuError INVALID_OPTION for a shape with a side that is no whole number, or too many elements.
 */
export function unitNormal(shape: readonly number[], seed: bigint | number, stream = 0): FloatTensor {
  const count = elementCount(shape);
  if (!shape.every((side) => Number.isInteger(side) && side >= 0) || count > maxElements) {
    throw new EmuError(
      'INVALID_OPTION',
      `[noise] shape [${shape.join(',')}] must have whole sides and at most ${maxElements} elements`,
      { details: { shape, maximum: maxElements } },
    );
  }
  const random = new Philox(seed, stream);
  const data = new Float32Array(count);
  for (let i = 0; i < count; i++) data[i] = random.nextNormal();
  return floatTensor(shape, data);
}

/**
 * Start latents of a picture: unit normals times `initNoiseSigma`.
 * -> [1, channels, height/scale, width/scale] f32; `scale` is the VAE's reduction, 8 for Stable Diffusion.
 * @throws EmuError INVALID_OPTION if a side is not a positive multiple of scale.
 */
export function startLatents(options: {
  readonly width: number;
  readonly height: number;
  readonly seed: bigint | number;
  readonly channels?: number;
  readonly scale?: number;
  readonly initNoiseSigma?: number;
  readonly stream?: number;
}): FloatTensor {
  const { width, height, seed, channels = 4, scale = 8, initNoiseSigma = 1, stream = 0 } = options;
  for (const [name, side] of Object.entries({ width, height })) {
    if (!Number.isInteger(side) || side < scale || side % scale !== 0) {
      throw new EmuError(
        'INVALID_OPTION',
        `[noise] ${name} must be a positive multiple of ${scale}, got ${side}`,
        {
          details: { [name]: side, multiple: scale },
        },
      );
    }
  }
  const noise = unitNormal([1, channels, height / scale, width / scale], seed, stream);
  if (initNoiseSigma === 1) return noise;
  return floatTensor(
    noise.shape,
    noise.data.map((value) => value * Math.fround(initNoiseSigma)),
  );
}
