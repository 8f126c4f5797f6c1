/** Width and height from the header of a PNG, or undefined if it is none. */
export function pngSize(png: Uint8Array): { readonly width: number; readonly height: number } | undefined {
  // 8 bytes of signature, then length and name of the header chunk.
  const isPng = png.length >= 24 && png[0] === 0x89 && String.fromCharCode(...png.subarray(1, 4)) === 'PNG';
  if (!isPng) return undefined;
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}
