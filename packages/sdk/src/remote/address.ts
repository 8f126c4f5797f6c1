import { EmuError } from '@emu/program';

/** Where a server is, and whether the way there is encrypted. */
export interface ServerAddress {
  /** `host:port` as gRPC takes it. */
  readonly target: string;
  readonly tls: boolean;
}

const defaultPort = 50_051;

/**
 * Reads `grpc://host:port` or `grpcs://host:port`; the port is 50051 unless said.
 * @throws EmuError INVALID_OPTION for anything else.
 */
export function parseAddress(address: string): ServerAddress {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isKnown = url?.protocol === 'grpc:' || url?.protocol === 'grpcs:';
  if (
    url === undefined ||
    !isKnown ||
    url.hostname === '' ||
    !/^\/?$/.test(url.pathname) ||
    url.search !== ''
  ) {
    throw new EmuError(
      'INVALID_OPTION',
      `[connect] ${JSON.stringify(address)} is not the address of a server`,
      {
        hint: 'Write grpc://host:port, or grpcs://host:port for TLS.',
        details: { address },
      },
    );
  }
  const port = url.port === '' ? defaultPort : Number(url.port);
  return { target: `${url.hostname}:${port}`, tls: url.protocol === 'grpcs:' };
}
