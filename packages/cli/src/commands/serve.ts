import { basename, resolve } from 'node:path';

import {
  checkBind,
  createServer,
  logLevels,
  type Limits,
  type LogLevel,
  type ServerOptions,
} from '@emu/grpc-server';
import { EmuError, type Emu } from '@emu/sdk';
import type { Command } from 'commander';

import { commandContext, number, oneOf, withCommonFlags } from '../context.js';
import { environmentValue } from '../environment.js';
import type { Terminal } from '../terminal.js';
import { withModel, withModelFlags, type ModelFlags } from './model-flags.js';

/** Flags of `emu serve`. */
export interface ServeFlags extends ModelFlags {
  readonly name?: string;
  readonly host: string;
  readonly port: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly keys?: string;
  readonly insecure?: boolean;
  readonly metricsPort?: number;
  readonly logLevel: LogLevel;
  readonly grace: number;
  readonly notice: number;
  readonly maxNewTokens?: number;
  readonly maxImages?: number;
  readonly maxImagePixels?: number;
  readonly maxSteps?: number;
  readonly maxStreams?: number;
  readonly maxQueued?: number;
  readonly maxRequestBytes?: number;
  readonly allowUnsafe?: boolean;
  readonly trainingDir?: string;
}

const help = `
Others call it from any language with the protocol in proto/emu/v1; docs/server.md shows how, and how to run it.

Without --keys everybody who reaches the port may do everything; beyond this machine that needs --tls-cert and
--tls-key, or --insecure behind a proxy that does TLS. Ctrl-C or SIGTERM drains: health turns, calls under way finish
within --grace, the exit status is 0. A second one ends at once.

Examples:
  emu serve --model models/emu
  emu serve --model models/emu --metrics-port 9464 --keys keys.json
  emu serve --model models/emu --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --keys keys.json
  npx buf curl --protocol grpc --http2-prior-knowledge -d '{"prompt":{"parts":[{"text":"a cat"}]}}' \\
    http://127.0.0.1:50051/emu.v1.GenerationService/Generate`;

export function addServe(program: Command, terminal: Terminal): void {
  withModelFlags(withCommonFlags(program.command('serve')))
    .option('--name <id>', "name of the model for clients (default: its folder's)")
    .option('--host <address>', 'address to bind', '127.0.0.1')
    .option('--port <number>', 'port to bind; 0: any free one', number, 50_051)
    .option('--tls-cert <file>', 'certificate of the server, PEM (default: EMU_TLS_CERT)')
    .option('--tls-key <file>', 'its key, PEM (default: EMU_TLS_KEY)')
    .option('--tls-client-ca <file>', 'authorities of clients, PEM: every client must show a certificate')
    .option('--keys <file>', 'bearer keys with their scopes, JSON; read again when it changes')
    .option('--insecure', 'bind beyond this machine without TLS')
    .option('--metrics-port <number>', 'port of /metrics and /healthz', number)
    .option(
      '--log-level <level>',
      `least level of the log on stderr: ${logLevels.join(', ')}`,
      oneOf(logLevels),
      'info',
    )
    .option('--grace <seconds>', 'time for calls under way when the server stops', number, 30)
    .option('--notice <seconds>', 'time that health says NOT_SERVING before calls are refused', number, 0)
    .option('--max-new-tokens <number>', 'limit on new tokens of a request', number)
    .option('--max-images <number>', 'limit on pictures of a request', number)
    .option('--max-image-pixels <number>', 'limit on pixels of a picture that is read', number)
    .option('--max-steps <number>', 'limit on denoising steps of a picture', number)
    .option('--max-streams <number>', 'limit on calls of one connection', number)
    .option('--max-queued <number>', 'limit on generations under way or waiting', number)
    .option('--max-request-bytes <number>', 'limit on one request message', number)
    .option('--allow-unsafe', 'callers may see pictures that the safety checker flags')
    .option('--training-dir <dir>', 'take training jobs, each in a folder of its own here')
    .description('serve a model over gRPC')
    .addHelpText('after', help)
    .action((flags: ServeFlags) => serve(terminal, flags));
}

async function serve(terminal: Terminal, flags: ServeFlags): Promise<void> {
  const context = commandContext(terminal, flags);
  checkSeconds('--grace', flags.grace);
  checkSeconds('--notice', flags.notice);
  // What is wrong with the flags is told before a model is read.
  const id = flags.name ?? modelId(flags.model ?? environmentValue(terminal, 'EMU_MODEL') ?? '');
  const options = serverOptions(terminal, flags);
  await withModel(context, flags, async (emu: Emu) => {
    const server = createServer({ ...options, models: { [id]: emu } });
    try {
      terminal.signal.throwIfAborted();
      await server.start();
      const { address, metricsAddress } = server;
      const metrics = metricsAddress === undefined ? '' : `, metrics at http://${metricsAddress}/metrics`;
      context.result(
        { type: 'serving', address, metricsAddress, model: `models/${id}` },
        `serving models/${id} at ${address}${metrics}`,
      );
      await untilAborted(terminal.signal);
      context.note('stopping: calls under way may finish; a second signal ends at once');
    } finally {
      await server.drain({ noticeMs: flags.notice * 1000, graceMs: flags.grace * 1000 });
    }
  });
}

function serverOptions(terminal: Terminal, flags: ServeFlags): Omit<ServerOptions, 'models'> {
  const { host, port, keys, insecure, metricsPort, logLevel, allowUnsafe, trainingDir } = flags;
  const tls = tlsOptions(terminal, flags);
  checkBind(host, tls !== undefined, insecure === true);
  return {
    host,
    port,
    logLevel,
    limits: limitsOf(flags),
    ...(tls && { tls }),
    ...(keys !== undefined && { keyFile: keys }),
    ...(insecure === true && { insecure }),
    ...(metricsPort !== undefined && { metricsPort }),
    ...(allowUnsafe === true && { allowUnsafe }),
    ...(trainingDir !== undefined && {
      training: {
        folder: resolve(trainingDir),
        command: [process.execPath, commandFile(), 'train', '--json'],
      },
    }),
  };
}

function tlsOptions(terminal: Terminal, flags: ServeFlags): ServerOptions['tls'] {
  const certFile = flags.tlsCert ?? environmentValue(terminal, 'EMU_TLS_CERT');
  const keyFile = flags.tlsKey ?? environmentValue(terminal, 'EMU_TLS_KEY');
  const clientCaFile = flags.tlsClientCa;
  if (certFile === undefined && keyFile === undefined && clientCaFile === undefined) return undefined;
  if (certFile !== undefined && keyFile !== undefined) {
    return { certFile, keyFile, ...(clientCaFile !== undefined && { clientCaFile }) };
  }
  throw new EmuError('INVALID_OPTION', '[serve] TLS needs both --tls-cert and --tls-key', {
    hint: 'Name the certificate and its key; --tls-client-ca is for certificates of clients on top.',
  });
}

function limitsOf(flags: ServeFlags): Partial<Limits> {
  const { maxNewTokens, maxImages, maxImagePixels, maxSteps, maxStreams, maxQueued, maxRequestBytes } = flags;
  const given = { maxNewTokens, maxImages, maxImagePixels, maxSteps, maxStreams, maxQueued, maxRequestBytes };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The last part of a path as a name of the wire. */
function modelId(path: string): string {
  const name = basename(resolve(path))
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  return name.slice(0, 63) || 'model';
}

/** What started this process, to start `emu train` the same way. */
function commandFile(): string {
  return process.argv[1] ?? 'emu';
}

function checkSeconds(flag: string, seconds: number): void {
  if (seconds >= 0 && seconds <= 86_400) return;
  throw new EmuError('INVALID_OPTION', `[serve] ${flag} must be 0..86400 seconds, got ${seconds}`, {
    details: { flag, seconds },
  });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolved) => {
    if (signal.aborted) resolved();
    signal.addEventListener(
      'abort',
      () => {
        resolved();
      },
      { once: true },
    );
  });
}
