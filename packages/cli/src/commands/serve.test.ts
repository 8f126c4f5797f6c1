import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { SignalStop } from '../terminal.js';
import { commandResult, jsonLines } from '../testing/command-result.js';
import { makeSmallModel } from '../testing/small-model.js';

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-serve-cli-'));
  model = join(folder, 'small');
  await makeSmallModel(model);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('emu serve', () => {
  it('says where it serves once it does, shows metrics, and ends with 0 on SIGTERM', async () => {
    const controller = new AbortController();
    let metrics: Promise<string> | undefined;
    const { status, stdout, stderr } = await commandResult(
      ['serve', '--model', model, '--port', '0', '--metrics-port', '0', '--log-level', 'silent', '--json'],
      {
        signal: controller.signal,
        onStdout(text) {
          const { metricsAddress } = JSON.parse(text) as { metricsAddress: string };
          metrics = Promise.all(
            ['healthz', 'metrics'].map(async (path) =>
              (await fetch(`http://${metricsAddress}/${path}`)).text(),
            ),
          ).then((texts) => texts.join('\n'));
          void metrics.finally(() => {
            controller.abort(new SignalStop('SIGTERM'));
          });
        },
      },
    );
    expect(status, stderr).toBe(0);
    expect(jsonLines(stdout)).toEqual([
      expect.objectContaining({
        type: 'serving',
        model: 'models/small',
        address: expect.stringContaining('127.0.0.1:') as string,
      }),
    ]);
    expect(await metrics).toContain('SERVING');
    expect(await metrics).toContain('emu_build_info{version="0.1.0",model="models/small"');
  });

  it.each([
    [['--host', '0.0.0.0'], 2, 'can be reached from other machines'],
    [['--tls-cert', 'cert.pem'], 2, '[serve] TLS needs both --tls-cert and --tls-key'],
    [['--port', '70000'], 2, '[server] port must be a whole number in 0..65535, got 70000'],
    [['--max-steps', '0'], 2, '[server] maxSteps must be a known limit and a whole number from 1, got 0'],
    [['--name', 'a b'], 2, '[server] "a b" is no name for a model'],
    [['--grace', '-1'], 2, '[serve] --grace must be 0..86400 seconds, got -1'],
    [['--log-level', 'inf'], 2, 'Did you mean info?'],
  ])('refuses %j', async (flags, exit, words) => {
    const { status, stdout, stderr } = await commandResult([
      'serve',
      '--model',
      model,
      '--port',
      '0',
      ...flags,
    ]);
    expect({ status, stdout }).toEqual({ status: exit, stdout: '' });
    expect(stderr).toContain(words);
  });

  it('refuses a file of keys that it cannot read', async () => {
    const keys = join(folder, 'keys.json');
    await writeFile(keys, '{"keys": [{"name": "team", "key": "short", "scopes": ["generate"]}]}');
    const { status, stderr } = await commandResult([
      'serve',
      '--model',
      model,
      '--port',
      '0',
      '--keys',
      keys,
    ]);
    expect(status).toBe(2);
    expect(stderr).toContain('keys[0] needs "key" of at least 16 characters');
  });
});
