import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EmuError } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Pixels } from '../image/pixels.js';
import { readVideoFrames } from './read-frames-node.js';
import { sampleFrameIndices } from './sample-frames.js';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
if (!hasFfmpeg) console.warn('[video] no ffmpeg on PATH: reading of videos is not tested');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'emu-video-test-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Writes a video whose frame n is grey of level 4n, without loss, so every frame can be told from the others. */
function makeVideo(name: string, frames: number, more: readonly string[] = []): string {
  const path = join(folder, name);
  const source = `nullsrc=size=48x32:rate=10,format=gray,geq=lum='4*N',format=yuv444p`;
  execFileSync('ffmpeg', [
    ...['-v', 'error', '-nostdin', '-y', '-f', 'lavfi', '-i', source, '-frames:v', String(frames)],
    ...['-c:v', 'libx264', '-qp', '0', ...more, path],
  ]);
  return path;
}

/** Which frame of makeVideo this is, by its level. */
function frameNumber(pixels: Pixels): number {
  const level = pixels.data[(16 * 48 + 24) * 3] ?? NaN;
  return Math.round(level / 4);
}

async function failure(run: Promise<unknown>): Promise<string> {
  try {
    await run;
  } catch (error) {
    return EmuError.isInstance(error) ? `${error.code} ${error.message}` : String(error);
  }
  return 'no error';
}

describe.skipIf(!hasFfmpeg)('readVideoFrames', () => {
  let path: string;
  beforeAll(() => {
    path = makeVideo('levels.mp4', 50);
  });

  it('takes exactly the frames the authors take', async () => {
    const frames = await readVideoFrames(path, 8);
    expect(frames.map(({ width, height }) => [width, height])).toEqual(Array(8).fill([48, 32]));
    expect(frames.map(frameNumber)).toEqual(sampleFrameIndices(50, 8));
  });

  it('reads bytes and file URLs alike and leaves no temporary file', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('emu-video-'));
    const fromPath = await readVideoFrames(path, 3);
    expect(await readVideoFrames(readFileSync(path), 3)).toEqual(fromPath);
    expect(await readVideoFrames({ kind: 'file-url', url: `file://${path}` }, 3)).toEqual(fromPath);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('emu-video-'))).toEqual(before);
  });

  it('does not tell where bytes lay that are no video', async () => {
    const failed = await readVideoFrames(new TextEncoder().encode('no video'), 3).catch((error: unknown) =>
      EmuError.from(error),
    );
    expect(failed).toMatchObject({
      code: 'INVALID_VIDEO',
      message: '[video] the file cannot be read: Invalid data found when processing input',
    });
    expect(JSON.stringify((failed as EmuError).details)).not.toContain(tmpdir());
  });

  it('repeats frames of a video that has fewer than asked for', async () => {
    const short = makeVideo('short.mkv', 7);
    const frames = await readVideoFrames(short, 8);
    expect(frames.length).toBe(8);
    expect(frames.map(frameNumber)).toEqual([0, 1, 2, 2, 3, 4, 4, 5]);
  });

  it('counts frames where times are uneven', async () => {
    const uneven = makeVideo('uneven.mkv', 40, ['-vf', "setpts='N*N/10/TB'"]);
    const frames = await readVideoFrames(uneven, 8);
    expect(frames.map(frameNumber)).toEqual(sampleFrameIndices(40, 8));
  });

  it('leaves out frames that a cut list drops', async () => {
    const cut = join(folder, 'cut-list.mp4');
    execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-ss', '1.55', '-i', path, '-c', 'copy', cut]);
    const [first = NaN, second = NaN] = (await readVideoFrames(cut, 2)).map(frameNumber);
    // 34 or 35 frames are left of 50, the container still holds more: half of half of them, then half more.
    expect(first).toBeGreaterThanOrEqual(16 + 8);
    expect(second - first).toBeGreaterThanOrEqual(16);
    expect(second - first).toBeLessThanOrEqual(17);
  });

  it('turns a video as players do', async () => {
    const turned = join(folder, 'turned.mp4');
    const rotate = ['-metadata:s:v', 'rotate=90'];
    execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-i', path, '-c', 'copy', ...rotate, turned]);
    const [frame] = await readVideoFrames(turned, 1);
    // Newer versions of ffmpeg drop that metadata; then the video lies as before.
    expect([32, 48]).toContain(frame?.width);
    expect((frame?.width ?? 0) * (frame?.height ?? 0)).toBe(32 * 48);
  });

  it('takes names that look like options, protocols or shell code', async () => {
    for (const name of ['-i.mp4', 'http:x.mp4', "a'b $(touch c);d.mp4", '%d.mp4']) {
      const odd = join(folder, name);
      writeFileSync(odd, readFileSync(path));
      expect((await readVideoFrames(odd, 2)).length, name).toBe(2);
    }
  });

  it('refuses what is no video', async () => {
    const text = join(folder, 'text.mp4');
    writeFileSync(text, 'no video at all, only words. '.repeat(50));
    expect(await failure(readVideoFrames(text, 8))).toMatch(
      /^INVALID_VIDEO \[video\] the file cannot be read: /,
    );
    expect(await failure(readVideoFrames(new Uint8Array(0), 8))).toContain('INVALID_VIDEO');
    const sound = join(folder, 'sound.mp4');
    execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-f', 'lavfi', '-i', 'sine', '-t', '1', sound]);
    expect(await failure(readVideoFrames(sound, 8))).toBe(
      'INVALID_VIDEO [video] the file has no video frames',
    );
    expect(await failure(readVideoFrames(join(folder, 'none.mp4'), 8))).toContain('MEDIA_NOT_FOUND [media]');
    expect(await failure(readVideoFrames(folder, 8))).toContain('is not a regular file');
  });

  it('refuses a playlist that names other files', async () => {
    const playlist = join(folder, 'list.m3u8');
    writeFileSync(playlist, `#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://${path}\n#EXT-X-ENDLIST\n`);
    expect(await failure(readVideoFrames(playlist, 2))).toContain(
      'INVALID_VIDEO [video] the file cannot be read',
    );
    const concat = join(folder, 'list.txt');
    writeFileSync(concat, `ffconcat version 1.0\nfile '${path}'\n`);
    expect(await failure(readVideoFrames(concat, 2))).toContain(
      'INVALID_VIDEO [video] the file cannot be read',
    );
  });

  it('takes what is left of a file that is cut off, or refuses it', async () => {
    const whole = readFileSync(makeVideo('cut.ts', 50));
    const cut = whole.subarray(0, Math.floor(whole.length / 2));
    const outcome = await failure(
      readVideoFrames(cut, 8).then((frames) => {
        expect(frames.length).toBe(8);
      }),
    );
    expect(outcome).toMatch(/^(no error|INVALID_VIDEO )/);
    const mp4 = readFileSync(path); // its index is at the end
    expect(await failure(readVideoFrames(mp4.subarray(0, mp4.length / 2), 8))).toContain('INVALID_VIDEO');
  });

  it('keeps to the limits', async () => {
    expect(await failure(readVideoFrames(path, 8, { maxFrames: 49 }))).toBe(
      'INVALID_VIDEO [video] 50 frames of 48x32 are over the limit of 49 frames of 16777216 pixels',
    );
    expect(await failure(readVideoFrames(path, 8, { maxPixels: 1000 }))).toContain(
      '48x32 are over the limit',
    );
    expect(await failure(readVideoFrames(path, 8, { maxBytes: 100 }))).toContain(
      'bytes, at most 100 are accepted',
    );
    expect(await failure(readVideoFrames(path, 0))).toBe(
      'INVALID_OPTION [video] count must be a whole number above 0, got 0',
    );
    expect(await failure(readVideoFrames(path, 8, { timeoutMs: NaN }))).toContain(
      'timeoutMs must be an integer',
    );
    expect(await failure(readVideoFrames(path, 8, { timeoutMs: 1 }))).toBe(
      'DEADLINE_EXCEEDED [video] ffprobe took longer than 1 ms',
    );
  });

  it('stops at an abort, before and during the work', async () => {
    const reason = new Error('enough');
    await expect(readVideoFrames(path, 8, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const run = readVideoFrames(path, 8, { signal: controller.signal });
    setTimeout(() => {
      controller.abort(reason);
    }, 5);
    await expect(run).rejects.toBe(reason);
  });
});

describe('readVideoFrames without ffmpeg', () => {
  it('says how to install it', async () => {
    const file = join(folder, 'some.mp4');
    writeFileSync(file, 'x');
    const error: unknown = await readVideoFrames(file, 8, { ffprobe: 'no-such-program' }).catch(
      (e: unknown) => e,
    );
    expect(EmuError.isInstance(error) && error.code).toBe('CAPABILITY_MISSING');
    expect(String(error)).toContain('[video] no-such-program could not be started');
    expect(EmuError.isInstance(error) && error.hint).toContain('apt-get install ffmpeg');
  });
});
