import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { EmbeddingService, GenerationService, health, ModelService } from '@emu/proto';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer, type ServerOptions } from './index.js';
import { failureOf, TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';

const { listModels } = ModelService.method;
const { countTokens } = GenerationService.method;
const { score } = EmbeddingService.method;
const prompt = { prompt: { parts: [{ data: { case: 'text', value: 'a' } }] } };
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('access.test.ts: there is no openssl, TLS is not tested');

let model: Awaited<ReturnType<typeof openSmallModel>>;
let folder = '';
beforeAll(async () => {
  model = await openSmallModel();
  folder = await mkdtemp(join(tmpdir(), 'emu-access-'));
});
afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true, force: true });
});

async function withServer(
  options: Omit<ServerOptions, 'models'>,
  work: (address: string, server: EmuServer) => Promise<void>,
): Promise<void> {
  const server = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent', ...options });
  await server.start();
  try {
    await work(server.address ?? '', server);
  } finally {
    await server.drain({ graceMs: 0 });
  }
}

async function withClient<T>(client: TestClient, work: (client: TestClient) => Promise<T>): Promise<T> {
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

const keyOf = (name: string): string => `a-secret-of-${name}-0123456789`;
const entry = (name: string, ...scopes: readonly string[]): object => ({ name, key: keyOf(name), scopes });
const writeKeys = (path: string, ...keys: readonly object[]): Promise<void> =>
  writeFile(path, JSON.stringify({ keys }));

describe('keys', () => {
  it('open what their scopes say, and nothing without one', async () => {
    const path = join(folder, 'keys.json');
    await writeKeys(path, entry('writer', 'generate'), entry('reader', 'embed'), entry('boss', 'admin'));
    await withServer({ keyFile: path }, async (address) => {
      const as = <T>(key: string | undefined, work: (client: TestClient) => Promise<T>): Promise<T> =>
        withClient(new TestClient(address, key === undefined ? {} : { key }), work);
      const missing = await as(undefined, (client) => failureOf(client.unary(countTokens, prompt)));
      expect({ code: missing.code, reason: missing.info?.reason, domain: missing.info?.domain }).toEqual({
        code: 'UNAUTHENTICATED',
        reason: 'UNAUTHENTICATED',
        domain: 'emu-sdk',
      });
      expect(missing.info?.metadata['hint']).toContain('authorization: Bearer KEY');
      const wrong = await as('not-a-key-of-this-server', (client) => failureOf(client.unary(listModels, {})));
      expect(wrong.code).toBe('UNAUTHENTICATED');
      await as(keyOf('writer'), async (client) => {
        expect((await client.unary(countTokens, prompt)).tokenCount).toBeGreaterThan(0);
        expect((await client.unary(listModels, {})).models).toHaveLength(1);
        const failure = await failureOf(client.unary(score, { prefix: prompt.prompt, candidates: ['b'] }));
        expect(failure.code).toBe('PERMISSION_DENIED');
        expect(failure.message).toContain('needs the scope embed, the key "writer" has generate');
      });
      await as(keyOf('boss'), (client) => client.unary(score, { prefix: prompt.prompt, candidates: ['b'] }));
      // Balancers have no key.
      const { check } = health.Health.method;
      expect((await as(undefined, (client) => client.unary(check, {}))).status).toBe(1);
    });
  });

  it('are not quoted when their file is broken', async () => {
    const path = join(folder, 'broken.json');
    const secret = 'a-secret-of-sixteen-characters';
    await writeFile(path, `{"keys": [${secret}`);
    const start = (): EmuServer =>
      createServer({ models: { small: model.emu }, keyFile: path, logLevel: 'silent' });
    expect(start).toThrow('it is not JSON');
    try {
      start();
    } catch (error) {
      expect(inspect(error, { depth: 10 })).not.toContain('a-secret');
    }
  });

  it('are read again when the file changes, and stay when it is broken', async () => {
    const path = join(folder, 'changing.json');
    await writeKeys(path, entry('old', 'generate'));
    await withServer({ keyFile: path }, async (address) => {
      await withClient(new TestClient(address, { key: keyOf('new') }), async (client) => {
        expect((await failureOf(client.unary(countTokens, prompt))).code).toBe('UNAUTHENTICATED');
        await writeKeys(path, entry('new', 'generate'));
        await expect
          .poll(
            () =>
              client.unary(countTokens, prompt).then(
                () => 'open',
                () => 'closed',
              ),
            { timeout: 5000 },
          )
          .toBe('open');
        await writeFile(path, '{');
        await new Promise((resolve) => setTimeout(resolve, 1500));
        await client.unary(countTokens, prompt);
      });
    });
  });
});

describe('a bind', () => {
  it.each(['0.0.0.0', '::', '192.168.1.7', 'example.org'])('of %s without TLS is refused', (host) => {
    expect(() => createServer({ models: { small: model.emu }, host })).toThrow(
      `[server] ${host} can be reached`,
    );
  });

  it('of 0.0.0.0 is allowed when told so', async () => {
    await withServer({ host: '0.0.0.0', insecure: true }, async (address) => {
      const [, port = ''] = address.split(':');
      await withClient(new TestClient(`127.0.0.1:${port}`), (client) => client.unary(listModels, {}));
    });
  });
});

describe.skipIf(!hasOpenssl)('TLS', () => {
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore' });
  };
  const authority = (name: string): void => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      file(`${name}.key`),
      '-out',
      file(`${name}.crt`),
    );
  };
  const issue = async (name: string, issuer: string): Promise<void> => {
    const extension = file(`${name}.ext`);
    await writeFile(extension, 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      file(`${name}.key`),
      '-out',
      file(`${name}.csr`),
    );
    openssl(
      'x509',
      '-req',
      '-in',
      file(`${name}.csr`),
      '-CA',
      file(`${issuer}.crt`),
      '-CAkey',
      file(`${issuer}.key`),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      extension,
      '-out',
      file(`${name}.crt`),
    );
  };
  beforeAll(async () => {
    authority('ours');
    authority('theirs');
    await issue('server', 'ours');
    await issue('client', 'ours');
    await issue('stranger', 'theirs');
  }, 60_000);

  it('serves clients that know its authority', async () => {
    const tls = { certFile: file('server.crt'), keyFile: file('server.key') };
    await withServer({ tls }, async (address) => {
      const known = credentials.createSsl(await readFile(file('ours.crt')));
      await withClient(new TestClient(address, { credentials: known }), (client) =>
        client.unary(listModels, {}),
      );
      const failure = await withClient(new TestClient(address), (client) =>
        failureOf(client.unary(listModels, {}, { deadline: Date.now() + 3000 })),
      );
      expect(['UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain(failure.code);
    });
  });

  it('asks clients for certificates of an authority', async () => {
    const tls = { certFile: file('server.crt'), keyFile: file('server.key'), clientCaFile: file('ours.crt') };
    await withServer({ tls }, async (address) => {
      const ours = await readFile(file('ours.crt'));
      const as = async (name: string): Promise<ReturnType<typeof credentials.createSsl>> =>
        credentials.createSsl(ours, await readFile(file(`${name}.key`)), await readFile(file(`${name}.crt`)));
      await withClient(new TestClient(address, { credentials: await as('client') }), (client) =>
        client.unary(listModels, {}),
      );
      for (const refused of [await as('stranger'), credentials.createSsl(ours)]) {
        const call = withClient(new TestClient(address, { credentials: refused }), (client) =>
          failureOf(client.unary(listModels, {}, { deadline: Date.now() + 3000 })),
        );
        expect(['UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain((await call).code);
      }
    });
  });

  it('refuses files that are none', () => {
    const tls = { certFile: file('server.key'), keyFile: file('server.key') };
    expect(() => createServer({ models: { small: model.emu }, tls })).toThrow('holds no CERTIFICATE in PEM');
  });
});
