import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EmuError } from '@emu/program';

import { badField } from '../convert/fields.js';
import type { Limits } from '../limits.js';

/** Uploads of one caller, and how long a finished or abandoned one is kept. */
const mostUploads = 256;
const mostBytesPerOwner = 2 ** 30;
const keptMs = 3_600_000;

interface Upload {
  readonly owner: string;
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly sha256: Uint8Array;
  received: number;
  isComplete: boolean;
  isWriting: boolean;
  touchedAt: number;
}

/** Files that callers uploaded, in a folder of the server's own that is removed at the end. */
export class MediaStore {
  readonly #uploads = new Map<string, Upload>();
  readonly #names = new Map<string, Upload>();
  readonly #limits: Limits;
  #folder: Promise<string> | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Begins an upload or goes on with one. @throws EmuError INVALID_OPTION, REQUEST_CONFLICT, RATE_LIMITED. */
  async begin(
    owner: string,
    start: {
      readonly uploadId: string;
      readonly size: number;
      readonly sha256: Uint8Array;
      readonly offset: number;
    },
  ): Promise<UploadWriter> {
    this.#expire();
    const folder = await (this.#folder ??= mkdtemp(join(tmpdir(), 'emu-media-')));
    // No wait between the two: of calls that begin the same upload together only one may create it.
    const upload = this.#uploads.get(uploadKey(owner, start.uploadId)) ?? this.#create(owner, start, folder);
    const sameFile = upload.size === start.size && Buffer.from(upload.sha256).equals(start.sha256);
    if (!sameFile || upload.isWriting) {
      throw new EmuError(
        'REQUEST_CONFLICT',
        `[start.upload_id] ${start.uploadId} is ${sameFile ? 'being written' : 'another file'}`,
        {
          hint: 'Choose another upload_id for each file, and send a file once at a time.',
          details: { field: 'start.upload_id' },
        },
      );
    }
    if (start.offset !== upload.received) {
      throw badField('start.offset', `is ${start.offset}, ${upload.received} bytes have arrived`, {
        hint: 'Ask GetUpload where to go on.',
        details: { offset: start.offset, received: upload.received },
      });
    }
    upload.isWriting = true;
    try {
      return new UploadWriter(upload, await open(upload.path, upload.received === 0 ? 'w' : 'r+'));
    } catch (error) {
      upload.isWriting = false;
      throw error;
    }
  }

  /** How far an upload is. @throws EmuError MEDIA_NOT_FOUND. */
  progress(owner: string, uploadId: string): { readonly received: number; readonly name: string } {
    this.#expire();
    const upload = this.#uploads.get(uploadKey(owner, uploadId));
    if (upload === undefined) throw notFound('upload_id', uploadId);
    return { received: upload.received, name: upload.isComplete ? upload.name : '' };
  }

  /** The file of a complete upload of this caller. @throws EmuError MEDIA_NOT_FOUND. */
  pathOf(name: string, owner: string, field: string): string {
    this.#expire();
    const upload = this.#names.get(name);
    if (upload?.owner !== owner || !upload.isComplete) throw notFound(field, name);
    upload.touchedAt = Date.now();
    return upload.path;
  }

  async read(name: string, owner: string, field: string): Promise<Uint8Array> {
    return readFile(this.pathOf(name, owner, field));
  }

  async close(): Promise<void> {
    if (this.#folder !== undefined) await rm(await this.#folder, { recursive: true, force: true });
  }

  #create(
    owner: string,
    {
      uploadId,
      size,
      sha256,
    }: { readonly uploadId: string; readonly size: number; readonly sha256: Uint8Array },
    folder: string,
  ): Upload {
    if (!/^[\w-]{1,64}$/.test(uploadId)) {
      throw badField('start.upload_id', 'must be 1 to 64 letters, digits, "-" and "_"');
    }
    const { maxUploadBytes } = this.#limits;
    if (size < 1 || size > maxUploadBytes) {
      throw badField('start.size_bytes', `must be 1..${maxUploadBytes}, got ${size}`, {
        ...(size > maxUploadBytes ? { code: 'MESSAGE_TOO_LARGE' as const } : {}),
        details: { size, maxUploadBytes },
      });
    }
    if (sha256.length !== 0 && sha256.length !== 32) {
      throw badField('start.sha256', `must have 32 bytes or none, got ${sha256.length}`);
    }
    this.#checkQuota(owner, size);
    const id = randomUUID();
    const path = join(folder, id);
    const fresh = { received: 0, isComplete: false, isWriting: false, touchedAt: Date.now() };
    const upload: Upload = {
      owner,
      name: `media/${id}`,
      path,
      size,
      sha256: Uint8Array.from(sha256),
      ...fresh,
    };
    this.#uploads.set(uploadKey(owner, uploadId), upload);
    this.#names.set(upload.name, upload);
    return upload;
  }

  #checkQuota(owner: string, size: number): void {
    const own = [...this.#uploads.values()].filter((upload) => upload.owner === owner);
    const bytes = own.reduce((sum, upload) => sum + upload.size, size);
    if (own.length < mostUploads && bytes <= mostBytesPerOwner) return;
    throw new EmuError(
      'RATE_LIMITED',
      `[upload] ${own.length} uploads of ${bytes - size} bytes are kept, there is no room for more`,
      {
        hint: 'Uploads are deleted an hour after their last use.',
        details: { uploads: own.length, mostUploads, mostBytesPerOwner },
      },
    );
  }

  #expire(): void {
    const oldest = Date.now() - keptMs;
    for (const [key, upload] of this.#uploads) {
      if (upload.touchedAt > oldest || upload.isWriting) continue;
      this.#uploads.delete(key);
      this.#names.delete(upload.name);
      void rm(upload.path, { force: true }).catch(() => undefined);
    }
  }
}

/** Appends to one upload. */
export class UploadWriter {
  readonly #upload: Upload;
  readonly #file: FileHandle;

  constructor(upload: Upload, file: FileHandle) {
    this.#upload = upload;
    this.#file = file;
  }

  /** @throws EmuError INVALID_OPTION for more bytes than were announced. */
  async append(chunk: Uint8Array): Promise<void> {
    const upload = this.#upload;
    if (upload.received + chunk.length > upload.size) {
      throw badField(
        'chunk',
        `brings ${upload.received + chunk.length} bytes, ${upload.size} were announced`,
      );
    }
    let written = 0;
    while (written < chunk.length) {
      const { bytesWritten } = await this.#file.write(
        chunk,
        written,
        chunk.length - written,
        upload.received + written,
      );
      written += bytesWritten;
    }
    upload.received += chunk.length;
    upload.touchedAt = Date.now();
  }

  /** @throws EmuError INVALID_OPTION when bytes are missing, or when they are not those that were announced. */
  async complete(): Promise<{ readonly name: string; readonly expiresAt: number }> {
    const upload = this.#upload;
    if (upload.received < upload.size) {
      throw badField('chunk', `${upload.received} bytes have arrived, ${upload.size} were announced`, {
        hint: 'Ask GetUpload where to go on, and send the rest.',
        details: { received: upload.received, size: upload.size },
      });
    }
    if (upload.sha256.length > 0) await this.#checkSum();
    upload.isComplete = true;
    return { name: upload.name, expiresAt: upload.touchedAt + keptMs };
  }

  async close(): Promise<void> {
    this.#upload.isWriting = false;
    await this.#file.close();
  }

  async #checkSum(): Promise<void> {
    const upload = this.#upload;
    const hash = createHash('sha256')
      .update(await readFile(upload.path))
      .digest();
    if (hash.equals(upload.sha256)) return;
    upload.received = 0;
    throw badField('start.sha256', 'is not that of the bytes that arrived', {
      hint: 'Upload the file again from the start.',
      details: { received: hash.toString('hex') },
    });
  }
}

function uploadKey(owner: string, uploadId: string): string {
  return `${owner}\n${uploadId}`;
}

function notFound(field: string, name: string): EmuError {
  return new EmuError(
    'MEDIA_NOT_FOUND',
    `[${field}] there is no upload ${JSON.stringify(name.slice(0, 80))}`,
    {
      hint: 'Upload the file with MediaService; uploads are deleted an hour after their last use.',
      details: { field, resource: name },
    },
  );
}
