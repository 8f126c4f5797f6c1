import { EmuError } from '@emu/program';
import { EmbeddingService, GenerationService, MediaService, ModelService, TrainingService } from '@emu/proto';
import type { Emu } from '@emu/sdk';
import { Server, type ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';

import { checkBind, checkPort, hostAndPort } from './access/addresses.js';
import { anonymous, type Caller } from './access/caller.js';
import { KeyFile } from './access/key-file.js';
import { serverCredentials, type TlsOptions } from './access/transport-security.js';
import { PictureReader } from './convert/pictures.js';
import { JobRegistry } from './generation/job-registry.js';
import { checkedLimits, type Limits } from './limits.js';
import { ObservationServer } from './observe/http-server.js';
import { serverLog, type LogLevel } from './observe/log.js';
import { ServerMetrics } from './observe/metrics.js';
import { servedModel, ServedModels, type ServedModel } from './served-model.js';
import { embeddingRoutes } from './services/embedding-service.js';
import { generationRoutes } from './services/generation-service.js';
import { mediaRoutes } from './services/media-service.js';
import { MediaStore } from './services/media-store.js';
import { modelRoutes } from './services/model-service.js';
import type { ServiceContext } from './services/service-context.js';
import { addReflection, ServerHealth } from './services/standard-services.js';
import { trainingRoutes } from './services/training-service.js';
import { TrainingJobs, type TrainingOptions } from './training/training-jobs.js';
import { version } from './version.js';
import { warmUp } from './warm-up.js';
import { ArrivingRequests } from './wire/arriving-requests.js';
import { guard, type Gate } from './wire/guard.js';
import { OpenCalls } from './wire/open-calls.js';
import { ResetLimit } from './wire/reset-limit.js';
import { serviceDefinition, type Route } from './wire/routes.js';

export interface ServerOptions {
  /** The model to serve, or several by name; the first is the default. They stay the caller's to dispose. */
  readonly models: Readonly<Record<string, Emu>>;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 50051; 0 lets the system choose. */
  readonly port?: number;
  readonly tls?: TlsOptions;
  /** File of bearer keys, read again when it changes. Without it everybody may do everything. */
  readonly keyFile?: string;
  /** Allows a bind that other machines reach without TLS. */
  readonly insecure?: boolean;
  /** Port of `/metrics` and `/healthz` on the same host; 0 lets the system choose, undefined has none. */
  readonly metricsPort?: number;
  readonly limits?: Partial<Limits>;
  /** Whether callers may see pictures that the safety checker flags. Default false. */
  readonly allowUnsafe?: boolean;
  /** Allows training jobs. */
  readonly training?: TrainingOptions;
  /** Default info. */
  readonly logLevel?: LogLevel;
}

export interface DrainOptions {
  /** Health says NOT_SERVING for so long before new calls are refused, so that balancers can turn. Default 0. */
  readonly noticeMs?: number;
  /** Calls under way may take so long to finish; then they end with UNAVAILABLE. Default 30 s. */
  readonly graceMs?: number;
}

/** A running service. */
export interface EmuServer {
  /** Binds, takes calls and warms the models up; resolves when health says SERVING. */
  start(): Promise<void>;
  /** Turns health, refuses new work, lets work under way finish, closes. Safe to call twice. */
  drain(options?: DrainOptions): Promise<void>;
  /** HOST:PORT; undefined before `start`. */
  readonly address: string | undefined;
  /** HOST:PORT of `/metrics`; undefined without. */
  readonly metricsAddress: string | undefined;
}

/**
 * A gRPC server of models. Call `start`, and `drain` at the end.
 * @throws EmuError INVALID_OPTION, INVALID_CONFIG for options that do not go together or files that are not right.
 */
export function createServer(options: ServerOptions): EmuServer {
  return new GrpcServer(options);
}

type State = 'new' | 'warming' | 'serving' | 'turning' | 'draining';

/** Services that a draining server still answers: they tell how it is, or end work. */
const openWhileDraining = /^emu\.v1\.(ModelService\/|GenerationService\/CancelGeneration$)/;

class GrpcServer implements EmuServer {
  readonly #options: ServerOptions;
  readonly #host: string;
  readonly #models: ServedModels;
  readonly #limits: Limits;
  readonly #log: Logger;
  readonly #metrics: ServerMetrics;
  readonly #keys: KeyFile | undefined;
  readonly #credentials: ServerCredentials;
  readonly #health = new ServerHealth();
  readonly #media: MediaStore;
  readonly #jobs: JobRegistry;
  readonly #calls = new OpenCalls();
  readonly #training: TrainingJobs | undefined;
  readonly #server: Server;
  #observation: ObservationServer | undefined;
  #state: State = 'new';
  #ended: Promise<void> | undefined;
  address: string | undefined;
  metricsAddress: string | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#host = options.host ?? '127.0.0.1';
    checkPort('port', options.port ?? 50_051);
    checkPort('metricsPort', options.metricsPort ?? 0);
    checkBind(this.#host, options.tls !== undefined, options.insecure === true);
    this.#models = modelsOf(options.models);
    this.#limits = checkedLimits(options.limits ?? {});
    this.#log = serverLog(options.logLevel ?? 'info');
    this.#credentials = serverCredentials(options.tls);
    this.#metrics = new ServerMetrics(this.#models.list, version);
    this.#keys = options.keyFile === undefined ? undefined : new KeyFile(options.keyFile, this.#log);
    this.#media = new MediaStore(this.#limits);
    this.#jobs = new JobRegistry(this.#metrics, this.#limits.maxQueued);
    this.#training = options.training && new TrainingJobs(options.training, this.#log);
    this.#server = this.#newServer();
  }

  async start(): Promise<void> {
    if (this.#state !== 'new') throw new EmuError('INVALID_OPTION', '[server] start was called twice');
    this.#state = 'warming';
    await this.#training?.restore();
    if (this.#current() !== 'warming') return; // drained meanwhile
    const port = await this.#bind();
    this.address = hostAndPort(this.#host, port);
    await this.#observe();
    this.#log.info({ address: this.address, metrics: this.metricsAddress }, 'listening');
    await Promise.all(this.#models.list.map((model) => warmUp(model)));
    if (this.#current() !== 'warming') return; // drained meanwhile
    this.#state = 'serving';
    this.#training?.start();
    this.#health.serving(this.#training === undefined ? [TrainingService.typeName] : []);
    this.#log.info({ models: this.#models.list.map(({ name, runtime }) => `${name} ${runtime}`) }, 'serving');
  }

  drain(options: DrainOptions = {}): Promise<void> {
    this.#ended ??= this.#drain(options);
    return this.#ended;
  }

  #newServer(): Server {
    const { maxRequestBytes, maxResponseBytes, maxStreams } = this.#limits;
    const server = new Server({
      'grpc.max_receive_message_length': maxRequestBytes,
      'grpc.max_send_message_length': Math.max(maxResponseBytes, 2 ** 20),
      'grpc.max_concurrent_streams': maxStreams,
      // Without these, connections that ended by protocol errors and half-open peers keep their descriptor.
      'grpc.keepalive_time_ms': 15_000,
      'grpc.keepalive_timeout_ms': 5_000,
      'grpc.max_connection_idle_ms': 30_000,
      interceptors: [guard(this.#gate())],
    });
    const context = this.#context();
    const services = [
      [GenerationService, generationRoutes(context)],
      [EmbeddingService, embeddingRoutes(context)],
      [ModelService, modelRoutes(context)],
      [MediaService, mediaRoutes(context)],
      [TrainingService, trainingRoutes(this.#training)],
    ] as const;
    for (const [service, routes] of services) {
      server.addService(serviceDefinition(service), handlers(routes));
    }
    this.#health.addTo(server);
    addReflection(server);
    return server;
  }

  #context(): ServiceContext {
    return {
      models: this.#models,
      limits: this.#limits,
      safety: { allowUnsafe: this.#options.allowUnsafe === true },
      jobs: this.#jobs,
      media: this.#media,
      pictures: new PictureReader(this.#limits, this.#media),
      metrics: this.#metrics,
      log: this.#log,
      version,
      isDraining: () => this.#state === 'draining' || this.#state === 'turning',
      isWarm: () => this.#state !== 'new' && this.#state !== 'warming',
    };
  }

  #gate(): Gate {
    return {
      metrics: this.#metrics,
      log: this.#log,
      maxRequestBytes: this.#limits.maxRequestBytes,
      maxArrivalMs: this.#limits.maxArrivalMs,
      resets: new ResetLimit(),
      arriving: new ArrivingRequests(Math.max(this.#limits.maxArrivingBytes, this.#limits.maxRequestBytes)),
      calls: this.#calls,
      identify: (metadata, call): Caller => {
        if (this.#keys !== undefined) return this.#keys.identify(metadata);
        const certificate = call.getAuthContext().sslPeerCertificate;
        return certificate?.fingerprint256 === undefined
          ? anonymous
          : { ...anonymous, name: `certificate ${certificate.fingerprint256}` };
      },
      checkOpen: (method) => {
        if (this.#state === 'draining' && !openWhileDraining.test(method)) throw serverDraining();
      },
    };
  }

  #bind(): Promise<number> {
    const address = hostAndPort(this.#host, this.#options.port ?? 50_051);
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, this.#credentials, (cause, port) => {
        if (cause === null) resolve(port);
        else {
          reject(
            new EmuError('INVALID_OPTION', `[server] ${address} cannot be bound: ${cause.message}`, {
              hint: 'Choose another --port, or stop what holds this one.',
              cause,
              details: { address },
            }),
          );
        }
      });
    });
  }

  async #observe(): Promise<void> {
    const { metricsPort } = this.#options;
    if (metricsPort === undefined) return;
    this.#observation = new ObservationServer(this.#metrics, () => this.#state === 'serving');
    this.metricsAddress = hostAndPort(this.#host, await this.#observation.listen(this.#host, metricsPort));
  }

  async #drain({ noticeMs = 0, graceMs = 30_000 }: DrainOptions): Promise<void> {
    const running = this.#jobs.running;
    this.#log.info({ running, noticeMs, graceMs }, 'draining');
    this.#state = 'turning';
    this.#health.notServing();
    if (noticeMs > 0) await sleep(noticeMs);
    this.#state = 'draining';
    // Calls too: an answer may still be on its way when its generation is over, and not every call is a generation.
    // As long as one is open its connection stays, and whoever calls there is told why it is refused.
    if (!(await within(graceMs, this.#idle()))) {
      const left = { running: this.#jobs.running, calls: this.#calls.count };
      this.#log.warn(left, 'the grace is over, calls under way are ended');
      this.#jobs.stopAll(serverDraining());
      this.#calls.stopAll(serverDraining());
      await within(5000, this.#idle());
    }
    await this.#training?.close();
    await this.#shutDown();
    this.#keys?.close();
    await this.#observation?.close();
    await this.#media.close();
    this.#log.info('drained');
  }

  async #idle(): Promise<void> {
    while (this.#jobs.running > 0 || this.#calls.count > 0) {
      await Promise.all([this.#jobs.idle(), this.#calls.idle()]);
    }
  }

  /** Lets what is under way to readers arrive; streams without an end, such as those of health, are cut. */
  async #shutDown(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => {
        resolve();
      });
    });
    if (!(await within(2000, closed))) this.#server.forceShutdown();
  }

  /** The state as it is now; it may have changed during a wait. */
  #current(): State {
    return this.#state;
  }
}

function modelsOf(models: Readonly<Record<string, Emu>>): ServedModels {
  const [first, ...rest] = Object.entries(models).map(([id, emu]): ServedModel => servedModel(id, emu));
  if (first !== undefined) return new ServedModels([first, ...rest]);
  throw new EmuError('INVALID_OPTION', '[server] there is no model to serve');
}

function handlers(routes: readonly Route[]): Record<string, Route['handle']> {
  return Object.fromEntries(routes.map(({ name, handle }) => [name, handle]));
}

function serverDraining(): EmuError {
  return new EmuError('SERVER_DRAINING', '[server] the server is about to stop', {
    hint: 'Send the request to another server, or again after the delay in RetryInfo.',
  });
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Whether something ends within a time. */
async function within(milliseconds: number, work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, milliseconds);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
