import { encodePng } from '@emu/sdk';

/** A PNG of coloured stripes. */
export async function stripes(width: number, height: number, shift = 0): Promise<Uint8Array<ArrayBuffer>> {
  const data = new Uint8Array(width * height * 3);
  for (let at = 0; at < data.length; at++) data[at] = ((at * 7 + shift * 31) ^ (at >> 5)) & 255;
  return Uint8Array.from(await encodePng({ width, height, data }));
}
