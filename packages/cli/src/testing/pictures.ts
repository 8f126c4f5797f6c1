import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

import { encodePng } from '@emu/sdk';

/** Writes a small picture with a gradient and returns its path. */
export async function writePicture(folder: string, name: string, shade: number): Promise<string> {
  const [width, height] = [40, 30];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, index) => (index * shade) % 256);
  const path = join(folder, name);
  await writeFile(path, await encodePng({ width, height, data }));
  return path;
}

/** A PNG of a few bytes that claims to have `side` x `side` pixels. */
export function pictureBomb(side: number): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const data = deflateSync(Buffer.alloc(1000));
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(content.length, 0);
  out.set(body, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}
