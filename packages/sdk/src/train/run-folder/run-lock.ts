import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { EmuError } from '@emu/program';

import { writeError } from '../../weights/atomic-file.js';

const lockFile = 'run.lock';

/** Lets go of the lock. */
export type Unlock = () => Promise<void>;

/**
 * Makes sure that one process trains in a folder. A lock that a killed process left is taken over: it names the
 * process and when that started, so that another process with the same number is not mistaken for it.
 * @throws EmuError REQUEST_CONFLICT while another process holds it, INVALID_OPTION for a folder that cannot be written.
 */
export async function lockFolder(folder: string): Promise<Unlock> {
  const path = join(folder, lockFile);
  const content = `${process.pid} ${await startOf(process.pid)}\n`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(content).finally(() => handle.close());
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeError(error, path);
    }
    await refuseIfAlive(path, content);
    await rm(path, { force: true });
  }
  throw held(folder, 'unknown');
}

async function refuseIfAlive(path: string, own: string): Promise<void> {
  const content = await readFile(path, 'utf8').catch(() => '');
  const holder = await aliveHolder(content);
  if (content === own || holder !== undefined) throw held(path, content.split(' ')[0] ?? '');
}

/** The process that trains in a folder, or undefined. */
export async function lockHolder(folder: string): Promise<number | undefined> {
  return aliveHolder(await readFile(join(folder, lockFile), 'utf8').catch(() => ''));
}

/** The process that wrote a lock, if it is alive. */
async function aliveHolder(content: string): Promise<number | undefined> {
  const [pid = '', start] = content.trim().split(' ');
  if (!/^\d+$/.test(pid)) return undefined;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    // Alive, but another user's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  return start === (await startOf(Number(pid))) ? Number(pid) : undefined;
}

/** Something that two processes of one number differ in: the start time, where the system tells it. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // Field 22, counted after the name, which may hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-';
  } catch {
    return '-';
  }
}

function held(path: string, pid: string): EmuError {
  return new EmuError('REQUEST_CONFLICT', `[train] ${path}: process ${pid} trains in this folder`, {
    hint: 'Wait for it, stop it, or give another output_dir.',
    details: { path, pid },
  });
}
