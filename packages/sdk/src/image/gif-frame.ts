/*
 * What Pillow shows where the first frame of a GIF has no colour of its own: the decoder makes such pixels
 * transparent black, Pillow gives them a colour of the palette.
 */

interface FirstFrame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** RGB of the palette entry that stands for "no pixel"; undefined when there is no palette. */
  readonly fill: readonly [number, number, number] | undefined;
}

/** Bytes of a palette whose size is in the low three bits of a packed field. */
function paletteLength(packed: number): number {
  return 3 * 2 ** ((packed & 7) + 1);
}

/** Reads the headers up to the first frame; undefined if they are cut off, which the decoder then reports. */
function readFirstFrame(bytes: Uint8Array): FirstFrame | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 13) return undefined;
  const screenPacked = view.getUint8(10);
  let palette = 13;
  let hasPalette = (screenPacked & 0x80) !== 0;
  let offset = 13 + (hasPalette ? paletteLength(screenPacked) : 0);
  let transparent: number | undefined;
  while (view.byteLength > offset + 10 && view.getUint8(offset) === 0x21) {
    const isGraphicControl = view.getUint8(offset + 1) === 0xf9 && view.getUint8(offset + 2) >= 4;
    if (isGraphicControl && (view.getUint8(offset + 3) & 1) === 1) transparent = view.getUint8(offset + 6);
    offset += 2;
    while (offset < view.byteLength && view.getUint8(offset) !== 0) offset += view.getUint8(offset) + 1;
    offset += 1;
  }
  if (view.byteLength < offset + 10 || view.getUint8(offset) !== 0x2c) return undefined;
  const packed = view.getUint8(offset + 9);
  if ((packed & 0x80) !== 0) {
    hasPalette = true;
    palette = offset + 10;
  }
  const entry = palette + 3 * (transparent ?? 0);
  const [red, green, blue] = bytes.subarray(entry, entry + 3);
  const hasFill = hasPalette && red !== undefined && green !== undefined && blue !== undefined;
  return {
    left: view.getUint16(offset + 1, true),
    top: view.getUint16(offset + 3, true),
    width: view.getUint16(offset + 5, true),
    height: view.getUint16(offset + 7, true),
    fill: hasFill ? [red, green, blue] : undefined,
  };
}

/**
 * Gives the pixels without colour the colour Pillow gives them, in place: the transparent palette entry, or entry
 * 0 outside a frame that is smaller than its screen. rgba [height, width, 4] u8 is the decoded first frame.
 */
export function fillGifGaps(bytes: Uint8Array, rgba: Uint8Array, width: number): void {
  const frame = readFirstFrame(bytes);
  if (!frame?.fill) return;
  const [red, green, blue] = frame.fill;
  for (let i = 0, pixel = 0; i < rgba.length; i += 4, pixel++) {
    const x = (pixel % width) - frame.left;
    const y = Math.floor(pixel / width) - frame.top;
    const isInside = x >= 0 && y >= 0 && x < frame.width && y < frame.height;
    if (isInside && rgba[i + 3] !== 0) continue;
    rgba[i] = red;
    rgba[i + 1] = green;
    rgba[i + 2] = blue;
  }
}
