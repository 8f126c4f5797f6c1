import { describe, expect, it } from 'vitest';

import { referenceExists, referenceJson } from '../testing/reference-data.js';
import { sampleFrameIndices } from './sample-frames.js';

type Vectors = Readonly<Record<string, readonly number[]>>;

describe.skipIf(!referenceExists)("the authors' frames", () => {
  it.each([8, 16])('%i of a video', (count) => {
    const all = referenceJson<Record<string, Vectors>>('goldens/preprocess.json');
    const vectors = Object.entries(all[`video_frame_index_${count}`] ?? {});
    expect(vectors.length).toBeGreaterThan(3);
    for (const [frameCount, indices] of vectors) {
      expect(sampleFrameIndices(Number(frameCount), count), frameCount).toEqual(indices);
    }
  });
});

describe('sampleFrameIndices', () => {
  it('keeps the first frame when a video has one frame', () => {
    expect(sampleFrameIndices(1, 3)).toEqual([0, 0, 0]);
  });

  it('stays inside the video', () => {
    for (let frames = 1; frames < 200; frames++) {
      for (const count of [1, 2, 8, 31]) {
        const indices = sampleFrameIndices(frames, count);
        expect(Math.max(...indices)).toBeLessThan(frames);
      }
    }
  });

  it('refuses counts that are none', () => {
    expect(() => sampleFrameIndices(0, 8)).toThrow(
      '[video] frameCount must be a whole number above 0, got 0',
    );
    expect(() => sampleFrameIndices(8, NaN)).toThrow('[video] count must be a whole number above 0, got NaN');
  });
});
