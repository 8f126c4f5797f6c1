import { readFileSync } from 'node:fs';

import { EmuError } from '@emu/program';
import { ServerCredentials } from '@grpc/grpc-js';

/** Files in PEM. */
export interface TlsOptions {
  /** The server's certificate, with those in between. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities of clients: with it every client must show a certificate of one of them. */
  readonly clientCaFile?: string;
}

/** @throws EmuError INVALID_CONFIG for a file that cannot be read or is not PEM. */
export function serverCredentials(tls: TlsOptions | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { certFile, keyFile, clientCaFile } = tls;
  const pair = { cert_chain: readPem(certFile, 'CERTIFICATE'), private_key: readPem(keyFile, 'PRIVATE KEY') };
  const authorities = clientCaFile === undefined ? null : readPem(clientCaFile, 'CERTIFICATE');
  try {
    return ServerCredentials.createSsl(authorities, [pair], authorities !== null);
  } catch (cause) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[tls] ${certFile} and ${keyFile} are not a certificate and its key`,
      {
        cause,
        details: { certFile, keyFile },
      },
    );
  }
}

function readPem(path: string, kind: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new EmuError('INVALID_CONFIG', `[tls] ${path} cannot be read`, { cause, details: { path } });
  }
  if (bytes.includes(kind)) return bytes;
  throw new EmuError('INVALID_CONFIG', `[tls] ${path} holds no ${kind} in PEM`, { details: { path, kind } });
}
