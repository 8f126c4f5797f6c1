import { describe, expect, it } from 'vitest';

import { parseAddress } from './address.js';

describe('the address of a server', () => {
  it('is a host, a port and whether to encrypt', () => {
    expect(parseAddress('grpc://localhost:1234')).toEqual({ target: 'localhost:1234', tls: false });
    expect(parseAddress('grpcs://example.org')).toEqual({ target: 'example.org:50051', tls: true });
    expect(parseAddress('grpc://[::1]:7/')).toEqual({ target: '[::1]:7', tls: false });
  });

  it.each(['localhost:50051', 'http://a', 'grpc://', 'grpc://a/models', 'grpc://a?x=1', ''])(
    'is not %j',
    (text) => {
      expect(() => parseAddress(text)).toThrow(
        `[connect] ${JSON.stringify(text)} is not the address of a server`,
      );
    },
  );
});
