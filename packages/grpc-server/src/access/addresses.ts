import { isIP } from 'node:net';

import { EmuError } from '@emu/program';

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** HOST:PORT, with brackets where an address has colons itself. */
export function hostAndPort(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** @throws EmuError INVALID_OPTION for a bind that others can reach and that nothing protects. */
export function checkBind(host: string, isProtected: boolean, insecure: boolean): void {
  if (isProtected || insecure || isLoopback(host)) return;
  throw new EmuError(
    'INVALID_OPTION',
    `[server] ${host} can be reached from other machines, and there is no TLS: keys and prompts would travel in clear text`,
    {
      hint: 'Give a certificate (--tls-cert, --tls-key), bind to 127.0.0.1, or say --insecure if a proxy does TLS.',
      details: { host },
    },
  );
}

/** @throws EmuError INVALID_OPTION for a port that is none. */
export function checkPort(name: string, port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new EmuError('INVALID_OPTION', `[server] ${name} must be a whole number in 0..65535, got ${port}`, {
    details: { [name]: port },
  });
}
