// What convolution and its gradients share: how a kernel moves over a padded picture.
import { integerAttribute, listAttribute, refuseAttribute, refuseShape, type InputTypes } from '../op.js';
import type { Attributes } from '../program.js';

/** Zero rows and columns added around a picture: top, bottom, left, right. */
export type Padding = readonly [number, number, number, number];

/** All four sides; one number pads each of them. */
export function allSides(padding: number | Padding): Padding {
  return typeof padding === 'number' ? [padding, padding, padding, padding] : padding;
}

function paddingAttribute(op: string, attributes: Attributes): Padding {
  const padding = listAttribute(op, attributes, 'padding');
  if (padding.length !== 4 || padding.some((side) => !Number.isSafeInteger(side) || side < 0)) {
    refuseAttribute(op, 'padding', padding, 'four integers of at least 0: top, bottom, left, right');
  }
  return padding as unknown as Padding;
}

export interface Steps {
  readonly stride: number;
  readonly padding: Padding;
}

/** The attributes `stride` and `padding` of `op`. */
export function stepsOf(op: string, attributes: Attributes): Steps {
  return { stride: integerAttribute(op, attributes, 'stride', 1), padding: paddingAttribute(op, attributes) };
}

/**
 * Height and width of the result for a picture H x W and a kernel kh x kw.
 * @throws EmuError TENSOR_SHAPE_MISMATCH if the kernel is empty or larger than the padded picture.
 */
export function outputSides(
  op: string,
  picture: readonly [number, number],
  kernel: readonly [number, number],
  { stride, padding: [top, bottom, left, right] }: Steps,
  inputs: InputTypes,
): readonly [number, number] {
  const [height, width] = [picture[0] + top + bottom, picture[1] + left + right];
  const [kh, kw] = kernel;
  if (kh === 0 || kw === 0 || kh > height || kw > width) {
    refuseShape(op, `kernel ${kh}x${kw} does not fit the padded picture ${height}x${width}`, inputs);
  }
  return [Math.floor((height - kh) / stride) + 1, Math.floor((width - kw) / stride) + 1];
}

/** Where a tap of the kernel lies for a pixel of the result: the result's, the kernel's and the picture's index. */
export interface Tap {
  /** Pixel of the result, row by row, picture by picture. */
  readonly from: number;
  /** Place in the kernel, row by row. */
  readonly place: number;
  /** Pixel of the picture. */
  readonly to: number;
}

/** Every tap that falls inside the picture, in the order of the result's pixels and then of the kernel's places. */
export function* taps(
  batch: number,
  [height, width]: readonly [number, number],
  [kh, kw]: readonly [number, number],
  [outputHeight, outputWidth]: readonly [number, number],
  { stride, padding: [top, , left] }: Steps,
): Generator<Tap> {
  for (let pixel = 0; pixel < batch * outputHeight * outputWidth; pixel++) {
    const b = Math.floor(pixel / (outputHeight * outputWidth));
    const row = Math.floor(pixel / outputWidth) % outputHeight;
    const column = pixel % outputWidth;
    for (let place = 0; place < kh * kw; place++) {
      const y = row * stride + Math.floor(place / kw) - top;
      const x = column * stride + (place % kw) - left;
      if (y < 0 || y >= height || x < 0 || x >= width) continue;
      yield { from: pixel, place, to: (b * height + y) * width + x };
    }
  }
}
