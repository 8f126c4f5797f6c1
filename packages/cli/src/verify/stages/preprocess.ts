import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeImage } from '@emu/sdk';
import { preprocessForEncoder, resize, type Pixels } from '@emu/sdk/image';
import { sampleFrameIndices } from '@emu/sdk/video';

import { numbers, record } from '../goldens.js';
import type { Stage } from '../stage.js';

const file = 'preprocess.safetensors';

/** Decoding, resizing and normalising pictures, and the choice of video frames. */
export const preprocessStage: Stage = {
  name: 'preprocess',
  async run({ goldens, recorder }) {
    for (const name of goldens.names(file)) {
      const [picture, what] = splitAtDot(name);
      const pixels = await decodeImage(
        await readFile(join(goldens.root, pictureFile(picture, goldens.images))),
      );
      const shape = goldens.entry(file, name)?.shape ?? [];
      await compareCase(pixels, what, shape, (ours, data, tolerance) =>
        data instanceof Uint8Array
          ? recorder.bytes(file, name, ours, data)
          : recorder.floats(file, name, ours, data, tolerance),
      );
    }
    const document = await goldens.json('preprocess.json');
    for (const [key, table] of Object.entries(document ?? {})) {
      const count = /^video_frame_index_(\d+)$/.exec(key)?.[1];
      if (count === undefined) continue;
      for (const [frames, indices] of Object.entries(record(table))) {
        const ours = sampleFrameIndices(Number(frames), Number(count));
        recorder.value('preprocess.json', `${key}.${frames}`, ours, numbers(indices));
      }
    }
  },
};

type Compare = (
  shape: readonly number[],
  data: Float32Array | Uint8Array,
  tolerance?: { relativeL2: number },
) => Promise<void>;

async function compareCase(
  pixels: Pixels,
  what: string,
  shape: readonly number[],
  compare: Compare,
): Promise<void> {
  if (what.endsWith('_u8')) {
    const [height = 0, width = 0] = shape;
    await compare([height, width, 3], resize(pixels, width, height).data);
  } else if (what === 'process_img_crop') {
    await compare([1, 3, 64, 80], cropOfProcessImg(pixels));
  } else if (what === 'pixel_values') {
    const size = shape.at(-1) ?? 0;
    // A JPEG decoder may be a few levels off Pillow's: three of them, as the reference data allows.
    const { data } = preprocessForEncoder(pixels, size);
    await compare([3, size, size], data, { relativeL2: 1e-4 });
  } else {
    throw new Error(`nothing is known of the case "${what}"`);
  }
}

/** Rows 64..127 and columns 80..159 of the picture that the authors' process_img makes. */
function cropOfProcessImg(pixels: Pixels): Float32Array {
  const size = 224;
  const { data } = preprocessForEncoder(pixels, size, { arithmetic: 'f64' });
  const crop = new Float32Array(3 * 64 * 80);
  for (let channel = 0; channel < 3; channel++) {
    for (let row = 0; row < 64; row++) {
      const start = (channel * size + row + 64) * size + 80;
      crop.set(data.subarray(start, start + 80), (channel * 64 + row) * 80);
    }
  }
  return crop;
}

function splitAtDot(name: string): [string, string] {
  const dot = name.indexOf('.');
  return [name.slice(0, dot), name.slice(dot + 1)];
}

function pictureFile(picture: string, images: readonly string[]): string {
  const index = /^image(\d+)$/.exec(picture)?.[1];
  if (index !== undefined) return images[Number(index)] ?? `inputs/${picture}.png`;
  return picture === 'jpeg' ? 'inputs/original.jpg' : `inputs/${picture}.png`;
}
