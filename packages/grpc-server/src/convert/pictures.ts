import type { EmuError } from '@emu/program';
import { decodeImage, image, video, type ImageMedia, type VideoMedia } from '@emu/sdk';
import { resizeInSlices } from '@emu/sdk/image';
import type { Image, Video } from '@emu/proto';

import type { Limits } from '../limits.js';
import type { MediaStore } from '../services/media-store.js';
import { atField, badField } from './fields.js';

/** Where the media of a request come from. */
export interface PictureSource {
  image(source: Image, side: number, owner: string, field: string, signal: AbortSignal): Promise<ImageMedia>;
  video(source: Video, owner: string, field: string): VideoMedia;
}

/** Takes places for pictures without reading them, to count. */
export class PicturePlaces implements PictureSource {
  constructor(readonly reader: PictureReader) {}

  image(source: Image, _side: number, _owner: string, field: string): Promise<ImageMedia> {
    if (source.source.case === undefined) return Promise.reject(noSource(field, 'INVALID_IMAGE'));
    return Promise.resolve(image({ width: 1, height: 1, data: new Uint8Array(3) }));
  }

  video(source: Video, owner: string, field: string): VideoMedia {
    return this.reader.video(source, owner, field);
  }
}

// Decoded pictures are large (48 MiB for 16 million pixels), and so are uploaded files; few at a time bounds them,
// whatever comes in.
const decodedAtOnce = 2;

/**
 * Reads pictures of requests: decodes them within the server's limits and squeezes them to the side of the model's
 * encoder with the resize that the model itself uses, so that a call holds kilobytes of picture while it waits and
 * the model sees the same values.
 */
export class PictureReader implements PictureSource {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    readonly limits: Limits,
    readonly media: MediaStore,
  ) {}

  /** @throws EmuError INVALID_IMAGE, IMAGE_TOO_LARGE, MEDIA_NOT_FOUND with the field; or `signal.reason`. */
  async image(
    source: Image,
    side: number,
    owner: string,
    field: string,
    signal: AbortSignal,
  ): Promise<ImageMedia> {
    await this.#enter();
    try {
      signal.throwIfAborted();
      const bytes = await this.#imageBytes(source, owner, field);
      const { maxImagePixels: maxPixels, maxUploadBytes: maxBytes } = this.limits;
      const pixels = await decodeImage(bytes, { maxPixels, maxBytes: Math.min(maxBytes, 2 ** 30), signal });
      return image(await resizeInSlices(pixels, side, side, { signal }));
    } catch (error) {
      throw atField(field, error);
    } finally {
      this.#leave();
    }
  }

  /** A video is read when the model takes it: only its frame count is known before. */
  video(source: Video, owner: string, field: string): VideoMedia {
    const { source: where, frameCount } = source;
    const options = frameCount === undefined ? {} : { frameCount };
    try {
      if (where.case === 'data') return video(where.value, options);
      if (where.case === 'media')
        return video(this.media.pathOf(where.value, owner, `${field}.media`), options);
    } catch (error) {
      throw atField(`${field}.frame_count`, error);
    }
    throw noSource(field, 'INVALID_VIDEO');
  }

  async #imageBytes({ source }: Image, owner: string, field: string): Promise<Uint8Array> {
    if (source.case === 'data') return source.value;
    if (source.case === 'media') return this.media.read(source.value, owner, `${field}.media`);
    throw noSource(field, 'INVALID_IMAGE');
  }

  async #enter(): Promise<void> {
    if (this.#running >= decodedAtOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}

function noSource(field: string, code: 'INVALID_IMAGE' | 'INVALID_VIDEO'): EmuError {
  return badField(field, 'names neither data nor media', {
    code,
    hint: "Put the file's bytes into data, or upload it with MediaService and name it in media.",
  });
}
