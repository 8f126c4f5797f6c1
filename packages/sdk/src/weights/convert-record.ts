import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError } from '@emu/program';
import { z } from 'zod';

import { writeText } from './atomic-file.js';
import { readJsonObject } from './json-file.js';
import { statOrUndefined } from './node-file.js';

/** Kept in the target folder: what it was made from and which files are finished. */
const recordName = '.emu-convert.json';

const names = z.array(z.string()).max(100_000);
const recordSchema = z.object({ fingerprint: z.string(), planned: names, done: names });

/** Size and time of change of the files a conversion reads, and its options: another value means other bytes. */
export async function fingerprintOf(paths: Iterable<string>, options: unknown): Promise<string> {
  const files: unknown[] = [];
  for (const path of [...new Set(paths)].sort()) {
    const stats = await statOrUndefined(path);
    files.push([path, stats?.size ?? null, stats?.mtimeMs ?? null]);
  }
  return JSON.stringify({ options, files });
}

/**
 * Which files of a target folder are finished. Repeating a conversion goes on after the last finished file; a
 * conversion of something else starts anew.
 */
export class ConvertRecord {
  private constructor(
    private readonly folder: string,
    private readonly fingerprint: string,
    private readonly planned: readonly string[],
    private readonly done: Set<string>,
  ) {}

  /**
   * Opens the record of an existing target folder, or starts one in an empty folder. Files of a conversion from
   * other sources or with other options are removed first.
   * @throws EmuError INVALID_OPTION if the folder holds files that no conversion has written.
   */
  static async open(folder: string, fingerprint: string, planned: readonly string[]): Promise<ConvertRecord> {
    const path = join(folder, recordName);
    const there = await readdir(folder);
    if (!there.includes(recordName)) {
      const foreign = there.filter((name) => name !== `${recordName}.partial`);
      if (foreign.length > 0) {
        throw new EmuError(
          'INVALID_OPTION',
          `[convert] the target folder ${folder} holds ${foreign.length} files of something else: ` +
            foreign.slice(0, 3).join(', '),
          { hint: 'Give a new or empty folder.', details: { folder, files: foreign.slice(0, 100) } },
        );
      }
    }
    const parsed = there.includes(recordName)
      ? recordSchema.safeParse(await readJsonObject(path))
      : undefined;
    const known = parsed?.success ? parsed.data : undefined;
    if (known?.fingerprint === fingerprint) {
      return new ConvertRecord(folder, fingerprint, planned, new Set(known.done));
    }
    for (const name of known?.planned ?? []) {
      if (!name.split('/').includes('..')) await rm(join(folder, name), { force: true });
    }
    // Written before the first file: were this process killed now, the next one would know its files.
    const record = new ConvertRecord(folder, fingerprint, planned, new Set());
    await record.write();
    return record;
  }

  async isDone(name: string): Promise<boolean> {
    return this.done.has(name) && (await statOrUndefined(join(this.folder, name))) !== undefined;
  }

  /** Notes that a file is finished under its final name. */
  async finish(name: string): Promise<void> {
    this.done.add(name);
    await this.write();
  }

  private async write(): Promise<void> {
    const { fingerprint, planned } = this;
    const text = JSON.stringify({ fingerprint, planned, done: [...this.done].sort() }, null, 2);
    await writeText(join(this.folder, recordName), `${text}\n`);
  }
}
