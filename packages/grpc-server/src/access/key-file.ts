import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';

import { EmuError } from '@emu/program';
import type { Metadata } from '@grpc/grpc-js';
import type { Logger } from 'pino';

import { scopes, type Caller, type Scope } from './caller.js';

const shortestKey = 16;
const pollMs = 1000;

/**
 * Keys from a JSON file, read again when it changes:
 * `{"keys": [{"name": "team", "key": "secret" or "sha256": "hex of it", "scopes": ["generate"]}]}`.
 * A file that cannot be read later leaves the keys as they were, and is told of in the log.
 */
export class KeyFile {
  #callers: ReadonlyMap<string, Caller>;
  #seen: string;
  readonly #timer: NodeJS.Timeout;

  /** @throws EmuError INVALID_CONFIG for a file that is missing or not as above. */
  constructor(
    readonly path: string,
    log: Logger,
  ) {
    this.#seen = fingerprint(path);
    this.#callers = readKeys(path);
    this.#timer = setInterval(() => {
      this.#reload(log);
    }, pollMs);
    this.#timer.unref();
  }

  /** How many keys there are. */
  get size(): number {
    return this.#callers.size;
  }

  /** Who sent the metadata. @throws EmuError UNAUTHENTICATED for no key, or one that is not in the file. */
  identify(metadata: Metadata): Caller {
    const [header] = metadata.get('authorization');
    const hint = 'Send the metadata "authorization: Bearer KEY" with a key of the server\'s file.';
    if (header === undefined) throw new EmuError('UNAUTHENTICATED', '[access] the call has no key', { hint });
    const [, key] = /^bearer +(\S+)$/i.exec(header.toString()) ?? [];
    // The hash is looked up, not the key: how long that takes tells nothing about a key.
    const caller = key === undefined ? undefined : this.#callers.get(sha256(key));
    if (caller !== undefined) return caller;
    throw new EmuError('UNAUTHENTICATED', '[access] the key of the call is not known', { hint });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #reload(log: Logger): void {
    const now = fingerprint(this.path);
    if (now === this.#seen) return;
    this.#seen = now;
    try {
      this.#callers = readKeys(this.path);
      log.info({ keys: this.#callers.size }, 'keys were read again');
    } catch (error) {
      const { message } = EmuError.from(error);
      log.error(
        { keys: this.#callers.size, message },
        'keys could not be read again, those from before stay',
      );
    }
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Changes when the file does; a file that is replaced has another inode. */
function fingerprint(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? 'none' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}

function readKeys(path: string): ReadonlyMap<string, Caller> {
  const json = parsed(path, textOf(path));
  const list: unknown = isRecord(json) ? json['keys'] : undefined;
  if (!Array.isArray(list)) throw invalid(path, 'there is no list "keys"');
  const callers = new Map<string, Caller>();
  for (const [index, entry] of (list as unknown[]).entries()) {
    const { digest, caller } = parseEntry(path, entry, index);
    if (callers.has(digest)) throw invalid(path, `keys[${index}] repeats an earlier key`);
    callers.set(digest, caller);
  }
  return callers;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(path, cause instanceof Error ? cause.message : 'it cannot be read', cause);
  }
}

/** What the parser says quotes the text around the mistake, which may be a key, and goes into the log: it stays here. */
function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(path, 'it is not JSON');
  }
}

function parseEntry(
  path: string,
  entry: unknown,
  index: number,
): { readonly digest: string; readonly caller: Caller } {
  const place = `keys[${index}]`;
  if (!isRecord(entry)) throw invalid(path, `${place} is not an object`);
  const { name, key, sha256: digest, scopes: given } = entry;
  if (typeof name !== 'string' || name === '') throw invalid(path, `${place}.name is not a text`);
  if (!Array.isArray(given) || !given.every(isScope)) {
    throw invalid(path, `${place}.scopes must be a list of ${scopes.join(', ')}`);
  }
  const caller = { name, scopes: new Set<Scope>(given) };
  if (typeof digest === 'string' && /^[0-9a-f]{64}$/i.test(digest))
    return { digest: digest.toLowerCase(), caller };
  if (typeof key === 'string' && key.length >= shortestKey && !/\s/.test(key))
    return { digest: sha256(key), caller };
  throw invalid(
    path,
    `${place} needs "key" of at least ${shortestKey} characters, or "sha256" of one in hex`,
  );
}

function isScope(value: unknown): value is Scope {
  return (scopes as readonly unknown[]).includes(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(path: string, why: string, cause?: unknown): EmuError {
  return new EmuError('INVALID_CONFIG', `[keys] ${path}: ${why}`, {
    hint: 'A key is {"name": "team", "key": "...", "scopes": ["generate", "embed"]}; docs/server.md has an example.',
    details: { path, why },
    cause,
  });
}
