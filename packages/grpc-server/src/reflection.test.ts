import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { openSmallModel } from './testing/small-model.js';

// What a person without generated code uses; grpcurl takes the same requests.
const fromProto = createRequire(new URL('../../proto/package.json', import.meta.url));
const buf = join(dirname(fromProto.resolve('@bufbuild/buf/package.json')), 'bin', 'buf');
const run = promisify(execFile);

let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
beforeAll(async () => {
  model = await openSmallModel();
  server = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent' });
  await server.start();
});
afterAll(async () => {
  await server.drain({ graceMs: 0 });
  await model.close();
});

async function curl(method: string, ...args: readonly string[]): Promise<string> {
  const url = `http://${server.address ?? ''}${method}`;
  const { stdout } = await run(process.execPath, [
    buf,
    'curl',
    '--protocol',
    'grpc',
    '--http2-prior-knowledge',
    ...args,
    url,
  ]);
  return stdout;
}

describe('reflection', () => {
  it('lists every method', async () => {
    const methods = (await curl('', '--list-methods')).trim().split('\n');
    for (const method of [
      'emu.v1.GenerationService/Generate',
      'emu.v1.TrainingService/WatchTrainingJob',
      'grpc.health.v1.Health/Check',
    ]) {
      expect(methods).toContain(method);
    }
  });

  it('lets a client call with nothing but JSON', async () => {
    expect(
      await curl('/grpc.health.v1.Health/Check', '-d', '{"service":"emu.v1.GenerationService"}'),
    ).toContain('SERVING');
    const models = JSON.parse(await curl('/emu.v1.ModelService/ListModels', '-d', '{}')) as object;
    expect(models).toMatchObject({
      models: [{ name: 'models/small', visualTokenCount: 4, embeddingWidth: 48 }],
    });
    const request = {
      prompt: { parts: [{ text: 'a cat' }] },
      sampling: { maxNewTokens: 5, numBeams: 1 },
      seed: 7,
    };
    const stream = await curl('/emu.v1.GenerationService/Generate', '-d', JSON.stringify(request));
    expect(stream).toContain('"seed": "7"');
    expect(stream).toContain('"finished"');
  });

  it('shows the details of a refusal', async () => {
    const refused = curl('/emu.v1.ModelService/GetModel', '-d', '{"name":"models/none"}');
    await expect(refused).rejects.toMatchObject({
      stderr: expect.stringMatching(
        /not_found[\s\S]*google.rpc.ErrorInfo[\s\S]*google.rpc.ResourceInfo/,
      ) as string,
    });
  });
});
