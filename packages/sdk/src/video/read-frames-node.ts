import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { EmuError } from '@emu/program';

import type { MediaSource } from '../image/media.js';
import type { Pixels } from '../image/pixels.js';
import { openRegularFile, readMediaBytes, sourcePath } from '../image/read-media-node.js';
import { readPixmaps } from './portable-pixmap.js';
import type { ProcessResult } from './run-process-node.js';
import { runProcess } from './run-process-node.js';
import { sampleFrameIndices } from './sample-frames.js';

export interface VideoOptions {
  /** Bytes of the file, default 1 GiB. */
  readonly maxBytes?: number;
  /** Pixels of one frame, default 16 Mi (4K has 8.3 million). */
  readonly maxPixels?: number;
  /** Frames of the whole video, default 1 million (9 hours at 30 per second). */
  readonly maxFrames?: number;
  /** For each of the two programs, default 120000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Other names or paths of the programs; by default they are looked for on PATH. */
  readonly ffmpeg?: string;
  readonly ffprobe?: string;
}

type Limits = Required<Pick<VideoOptions, 'maxBytes' | 'maxPixels' | 'maxFrames' | 'timeoutMs'>>;

const defaults: Limits = {
  maxBytes: 2 ** 30,
  maxPixels: 16 * 2 ** 20,
  maxFrames: 1_000_000,
  timeoutMs: 120_000,
};

/** RGB bytes of all frames that are kept at once. */
const maxFrameBytes = 2 ** 30;

/**
 * What may be read: a local file in a container of moving pictures. Playlists (HLS, concat) are left out, since
 * they make the program open other files that the video names.
 */
const inputRules = [
  ...['-protocol_whitelist', 'file,pipe'],
  ...['-format_whitelist', 'mov,matroska,avi,mpegts,mpeg,flv,ogg,gif,asf'],
];

function checkedVideoLimits(options: VideoOptions): Limits {
  const limits = { ...defaults };
  for (const name of Object.keys(defaults) as (keyof Limits)[]) {
    const value = options[name] ?? defaults[name];
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 31 - 1) {
      throw new EmuError(
        'INVALID_OPTION',
        `[video] ${name} must be an integer in 1..${2 ** 31 - 1}, got ${value}`,
        {
          details: { [name]: value },
        },
      );
    }
    limits[name] = value;
  }
  return limits;
}

function invalid(message: string, details: Readonly<Record<string, unknown>>): EmuError {
  return new EmuError('INVALID_VIDEO', `[video] ${message}`, {
    hint: 'Check that the file plays in a video player, or convert it to MP4.',
    details,
  });
}

/** The programs read `file:` names, so that no path is taken for an option or a protocol. */
function fileArgument(path: string): string {
  return `file:${resolve(path)}`;
}

interface Probe {
  readonly width: number;
  readonly height: number;
  readonly frameCount: number;
}

/**
 * Sizes and the exact number of frames. `packets` reads the container only: one packet is one frame, but for those
 * a cut list tells the player to drop (flag D). `frames` decodes everything and counts what comes out.
 */
async function probe(
  path: string,
  method: 'packets' | 'frames',
  options: VideoOptions,
  limits: Limits,
): Promise<Probe> {
  const program = options.ffprobe ?? 'ffprobe';
  const request =
    method === 'packets'
      ? ['-show_entries', 'packet=flags:stream=width,height']
      : ['-count_frames', '-show_entries', 'stream=width,height,nb_read_frames'];
  const { exitCode, stdout, stderr } = await runProcess(
    program,
    [
      ...['-v', 'error', ...inputRules, '-select_streams', 'V:0'],
      ...request,
      '-of',
      'csv',
      fileArgument(path),
    ],
    {
      timeoutMs: limits.timeoutMs,
      maxOutputBytes: 4096 + 16 * limits.maxFrames, // a packet's line has at most 12 bytes
      signal: options.signal,
    },
  );
  if (exitCode !== 0) throw invalid(`the file cannot be read: ${lastLine(stderr)}`, { exitCode, stderr });
  const lines = stdout.toString('latin1').split('\n');
  const stream = lines.map((line) => /^stream,(\d+),(\d+)(?:,(\d+))?/.exec(line)).find((match) => match);
  const [width = 0, height = 0, decoded = 0] = (stream ?? []).slice(1).map((text) => Number(text) || 0);
  const frameCount =
    method === 'frames' ? decoded : lines.filter((line) => /^packet,[^D]*$/.test(line)).length;
  if (frameCount < 1 || width < 1 || height < 1) throw invalid('the file has no video frames', { stderr });
  if (width * height > limits.maxPixels || frameCount > limits.maxFrames) {
    throw invalid(
      `${frameCount} frames of ${width}x${height} are over the limit of ${limits.maxFrames} frames of ` +
        `${limits.maxPixels} pixels`,
      { width, height, frameCount, maxPixels: limits.maxPixels, maxFrames: limits.maxFrames },
    );
  }
  return { width, height, frameCount };
}

function lastLine(text: string): string {
  return text.split('\n').at(-1)?.trim() || 'no reason was given';
}

/** Decodes up to the last index and keeps the frames asked for, in order. indices: ascending, distinct. */
async function decodeFrames(
  path: string,
  indices: readonly number[],
  { width, height }: Probe,
  options: VideoOptions,
  limits: Limits,
): Promise<Pixels[]> {
  const bytes = indices.length * (width * height * 3 + 32);
  if (bytes > maxFrameBytes) {
    throw invalid(
      `${indices.length} frames of ${width}x${height} need ${bytes} bytes, at most ${maxFrameBytes} are kept`,
      {
        frames: indices.length,
        bytes,
        maximum: maxFrameBytes,
      },
    );
  }
  const select = indices.map((index) => `eq(n,${index})`).join('+');
  const program = options.ffmpeg ?? 'ffmpeg';
  const bounds = { timeoutMs: limits.timeoutMs, maxOutputBytes: bytes, signal: options.signal };
  // Every frame that is selected is written once. By default copies would fill the gaps between them.
  const run = (...onceEach: readonly string[]): Promise<ProcessResult> =>
    runProcess(
      program,
      [
        ...['-v', 'error', '-nostdin', ...inputRules, '-i', fileArgument(path), '-map', '0:V:0'],
        ...['-vf', `select='${select}'`, ...onceEach, '-frames:v', String(indices.length)],
        ...['-sws_flags', 'bicubic+accurate_rnd+full_chroma_int+bitexact'],
        ...['-f', 'image2pipe', '-c:v', 'ppm', '-pix_fmt', 'rgb24', 'pipe:1'],
      ],
      bounds,
    );
  let result = await run('-fps_mode', 'passthrough');
  // Before version 5.1 the option had another name, which version 8 no longer knows.
  if (result.exitCode !== 0 && result.stderr.includes('fps_mode'))
    result = await run('-vsync', 'passthrough');
  const { exitCode, stdout, stderr } = result;
  if (exitCode !== 0) throw invalid(`the file cannot be decoded: ${lastLine(stderr)}`, { exitCode, stderr });
  return readPixmaps(stdout);
}

async function framesOfFile(
  path: string,
  count: number,
  options: VideoOptions,
  limits: Limits,
): Promise<Pixels[]> {
  for (const method of ['packets', 'frames'] as const) {
    const found = await probe(path, method, options, limits);
    const wanted = sampleFrameIndices(found.frameCount, count);
    const distinct = [...new Set(wanted)];
    const frames = await decodeFrames(path, distinct, found, options, limits);
    if (frames.length === distinct.length) {
      return wanted.map((index) => frames[distinct.indexOf(index)] as Pixels);
    }
    // Some packets give no frame (damage): count what really comes out and choose again.
  }
  throw invalid('the file gives fewer frames than it has', { path });
}

/** Runs `use` on a temporary file with these bytes, and removes it whatever happens. */
async function withTemporaryFile<T>(bytes: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'emu-video-'));
  try {
    const path = join(folder, 'video');
    await writeFile(path, bytes, { mode: 0o600 });
    return await use(path).catch((error: unknown) => {
      throw withoutName(error, fileArgument(path));
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A failure that does not tell where the file lay: whoever sent its bytes may be somebody else. */
function withoutName(error: unknown, name: string): unknown {
  if (!EmuError.isInstance(error)) return error;
  const told = (text: string): string => text.replaceAll(`${name}: `, '').replaceAll(name, 'the file');
  const details = Object.fromEntries(
    Object.entries(error.details).map(([key, value]) => [
      key,
      typeof value === 'string' ? told(value) : value,
    ]),
  );
  return new EmuError(error.code, told(error.message), {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    details,
  });
}

/**
 * Takes `count` frames of a video, evenly spaced as the authors do (`sampleFrameIndices`), with the ffmpeg and
 * ffprobe programs on PATH. The number of frames is counted, never guessed from the duration.
 *
 * source: a path, bytes, or the source of a `video()`. -> count pictures [H,W,3] u8, upright as players show them.
 * @throws EmuError INVALID_VIDEO for a file that is no video or over a limit, MEDIA_NOT_FOUND,
 * CAPABILITY_MISSING without ffmpeg, DEADLINE_EXCEEDED, INVALID_OPTION; or `signal.reason`.
 */
export async function readVideoFrames(
  source: string | Uint8Array | MediaSource,
  count: number,
  options: VideoOptions = {},
): Promise<Pixels[]> {
  const limits = checkedVideoLimits(options);
  sampleFrameIndices(1, count); // refuses a count that is none, before any work
  options.signal?.throwIfAborted();
  const media: MediaSource =
    typeof source === 'string'
      ? { kind: 'path', path: source }
      : source instanceof Uint8Array
        ? { kind: 'bytes', bytes: source }
        : source;
  if (media.kind === 'path' || media.kind === 'file-url') {
    const path = sourcePath(media, 'INVALID_VIDEO');
    const handle = await openRegularFile(path, 'INVALID_VIDEO');
    const { size } = await handle.stat().finally(() => handle.close());
    checkSize(size, limits.maxBytes);
    return framesOfFile(path, count, options, limits);
  }
  const bounds = { maxBytes: limits.maxBytes, tooLarge: 'INVALID_VIDEO', invalid: 'INVALID_VIDEO' } as const;
  const bytes = await readMediaBytes(media, bounds);
  checkSize(bytes.length, limits.maxBytes);
  return withTemporaryFile(bytes, (path) => framesOfFile(path, count, options, limits));
}

function checkSize(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes) {
    throw invalid(`the file has ${bytes} bytes, at most ${maxBytes} are accepted`, { bytes, maxBytes });
  }
}
