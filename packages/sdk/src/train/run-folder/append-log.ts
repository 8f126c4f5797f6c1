import { open, type FileHandle } from 'node:fs/promises';

import { writeError } from '../../weights/atomic-file.js';

/**
 * A file that only grows: metrics, events. What was written after the last checkpoint is cut off when a run resumes,
 * so that no line is there twice.
 */
export class AppendLog {
  readonly path: string;
  readonly #handle: FileHandle;
  #bytes: number;

  private constructor(path: string, handle: FileHandle, bytes: number) {
    this.path = path;
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /**
   * Opens the file with its first `bytes` bytes; what follows them is cut off, what is missing is not made up.
   * @throws EmuError INVALID_OPTION or OUT_OF_MEMORY as every write does.
   */
  static async open(path: string, bytes: number): Promise<AppendLog> {
    try {
      const handle = await open(path, 'a+');
      const { size } = await handle.stat();
      const kept = Math.min(bytes, size);
      if (kept < size) await handle.truncate(kept);
      return new AppendLog(path, handle, kept);
    } catch (error) {
      throw writeError(error, path);
    }
  }

  /** Bytes of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws EmuError OUT_OF_MEMORY naming the file if the disk is full. */
  async append(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    try {
      for (let done = 0; done < bytes.length;) {
        done += (await this.#handle.write(bytes, done, bytes.length - done)).bytesWritten;
      }
      this.#bytes += bytes.length;
    } catch (error) {
      throw writeError(error, this.path);
    }
  }

  /** Makes what was written durable. */
  async sync(): Promise<void> {
    try {
      await this.#handle.sync();
    } catch (error) {
      throw writeError(error, this.path);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
