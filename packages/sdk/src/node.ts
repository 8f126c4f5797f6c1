/* The entry for Node: everything of index.ts, models from paths, media from files, the C++ backend. */
import type { Backend } from '@emu/program';

import type { EmuOptions } from './emu-options.js';
import { Emu as PortableEmu } from './emu.js';
import {
  abortSignal,
  checkOptions,
  integerIn,
  numberAbove,
  oneOf,
  text,
  type OptionRules,
} from './generate/option-checks.js';
import type { MediaReader } from './generate/prompt.js';
import { readImage } from './image/node.js';
import { backendOf, devices, type Device } from './node-device.js';
import { readModelFiles } from './node-model.js';
import type { ConnectOptions, RemoteEmu } from './remote/index.js';
import { modelParts, type ModelPart } from './session.js';
import { readVideoFrames } from './video/node.js';

export * from './index.js';
export { decodeImage, encodeJpeg, encodePng } from './image/node.js';
export { backendOf, devices, type Device } from './node-device.js';
export { readModelFiles } from './node-model.js';
export { parseAddress, type ServerAddress } from './remote/address.js';
export type { ConnectOptions, RemoteEmu, TlsOptions } from './remote/index.js';

export interface PretrainedOptions extends EmuOptions {
  /** `cpu` (default): the C++ backend; `reference`: plain loops, slow, no native code. */
  readonly device?: Device;
  /** A backend of your own instead of a device. */
  readonly backend?: Backend;
  /** Which model to take from a folder that has both; the pretrained one by default. */
  readonly variant?: 'pretrain' | 'instruct';
  /** Folder of adapters in peft's layout, such as instruction tuning writes; the model then chats. */
  readonly adapter?: string;
  /** Adapter scale of an instruction-tuned checkpoint; 16 by default. */
  readonly loraAlpha?: number;
}

const isPart = (value: unknown): boolean => modelParts.includes(value as ModelPart);
const anObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

const pretrainedRules = {
  device: oneOf(...devices),
  backend: { describe: 'a Backend', accepts: anObject },
  variant: oneOf('pretrain', 'instruct'),
  adapter: text,
  loraAlpha: numberAbove(0, 1e6),
  dtype: oneOf('auto', 'f32', 'bf16'),
  threads: integerIn(1, 256),
  preload: {
    describe: `all, or a list of ${modelParts.join(', ')}`,
    accepts: (value: unknown) => value === 'all' || (Array.isArray(value) && value.every(isPart)),
  },
  cacheSlots: integerIn(1, 512),
  cacheTokens: integerIn(1, 2 ** 26),
  queueLimit: integerIn(0, 1_000_000),
  onProgress: { describe: 'a function', accepts: (value: unknown) => typeof value === 'function' },
  logger: { describe: 'an object with debug, info and warn', accepts: anObject },
  signal: abortSignal,
} satisfies OptionRules & Record<keyof PretrainedOptions, unknown>;

const mediaReader: MediaReader = {
  readImage: (media, signal) => readImage(media, signal ? { signal } : {}),
  readFrames: ({ source, frameCount }, signal) => readVideoFrames(source, frameCount, { signal }),
};

/** See the class in emu.ts; here it also opens models from disk. */
export class Emu extends PortableEmu {
  /**
   * Opens a model: a folder in the published layout, one that `convertCheckpoint` wrote, or a checkpoint file.
   * @throws EmuError MODEL_NOT_FOUND, CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE, INVALID_CONFIG, INVALID_OPTION,
   *   NATIVE_UNAVAILABLE, OUT_OF_MEMORY; or `signal.reason`.
   */
  static async fromPretrained(path: string, options: PretrainedOptions = {}): Promise<Emu> {
    checkOptions('fromPretrained', options, pretrainedRules);
    options.signal?.throwIfAborted();
    const { device = 'cpu', variant, loraAlpha, adapter, logger } = options;
    const backend = options.backend ?? backendOf(device);
    const files = await readModelFiles(path, {
      ...(variant && { variant }),
      ...(loraAlpha !== undefined && { loraAlpha }),
      ...(adapter !== undefined && { adapter }),
    });
    logger?.info('model found', { path, parts: Object.keys(files.checkpoints) });
    return this.open(files, backend, mediaReader, options);
  }

  /**
   * Opens a model on a server, `grpc://host:port` or with TLS `grpcs://host:port`: the same verbs, options and events.
   * @throws EmuError INVALID_OPTION, SERVER_UNREACHABLE, UNAUTHENTICATED, MODEL_NOT_FOUND; or `signal.reason`.
   */
  static async connect(address: string, options: ConnectOptions = {}): Promise<RemoteEmu> {
    // Loaded when asked for: who runs a model here needs no client.
    const remote = await import('./remote/index.js');
    return remote.RemoteEmu.connect(address, options);
  }
}
