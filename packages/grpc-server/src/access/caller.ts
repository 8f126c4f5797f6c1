import { EmuError } from '@emu/program';

/** What a key may do. `admin` may do everything, to everybody's generations and jobs. */
export const scopes = ['generate', 'embed', 'train', 'admin'] as const;
export type Scope = (typeof scopes)[number];

/** Who calls. */
export interface Caller {
  /** Name of the key or of the certificate; "anonymous" where neither is asked for. Calls of one name share a line. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** The caller of a server that asks for no keys. */
export const anonymous: Caller = { name: 'anonymous', scopes: new Set(scopes) };

/**
 * Whose turn it is when calls wait for the model: that of the key or certificate; without either, that of the machine.
 * peer: HOST:PORT. The port is another for every connection, and a client with many should not have many turns.
 */
export function clientOf(caller: Caller, peer: string): string {
  return caller.name === anonymous.name ? `peer ${addressOf(peer)}` : caller.name;
}

/** A peer's address without its port. */
export function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, '');
}

/** Scopes of which a service needs one; undefined needs only a valid key. */
const neededScopes: Readonly<Record<string, readonly Scope[]>> = {
  'emu.v1.GenerationService': ['generate'],
  'emu.v1.EmbeddingService': ['embed'],
  'emu.v1.MediaService': ['generate', 'embed'],
  'emu.v1.TrainingService': ['train'],
};

/** @throws EmuError PERMISSION_DENIED when the caller's key is for other services. */
export function checkScope(caller: Caller, service: string): void {
  const needed = neededScopes[service];
  if (needed === undefined || caller.scopes.has('admin')) return;
  if (needed.some((scope) => caller.scopes.has(scope))) return;
  const has = [...caller.scopes].join(', ') || 'none';
  throw new EmuError(
    'PERMISSION_DENIED',
    `[access] ${service} needs the scope ${needed.join(' or ')}, the key "${caller.name}" has ${has}`,
    {
      hint: 'Ask whoever keeps the keys for the scope, or use another key.',
      details: { service, needed: needed.join(' or '), scopes: has },
    },
  );
}

/** Whether a caller may see and stop what another has begun. */
export function mayUse(caller: Caller, owner: string): boolean {
  return caller.name === owner || caller.scopes.has('admin');
}
