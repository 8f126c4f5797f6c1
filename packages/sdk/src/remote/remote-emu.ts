import { randomUUID } from 'node:crypto';

import { create } from '@bufbuild/protobuf';
import { EmuError, type FloatTensor } from '@emu/program';
import {
  CancelGenerationRequestSchema,
  CountTokensRequestSchema,
  DecodeImageRequestSchema,
  DetailOptionsSchema,
  EmbeddingService,
  EncodeImagesRequestSchema,
  GenerateRequestSchema,
  GenerationService,
  GetModelRequestSchema,
  GetServerInfoRequestSchema,
  ListModelsRequestSchema,
  ModelService,
  OutputModality,
  ScoreRequestSchema,
  type GetServerInfoResponse,
  type Model,
} from '@emu/proto';

import {
  captionRules,
  scoreRules,
  type CaptionOptions,
  type Prompt,
  type ScoreOptions,
} from '../emu-options.js';
import type { ChatMessage } from '../generate/chat-format.js';
import { GenerationStream } from '../generate/generation-stream.js';
import { checkOptions, abortSignal } from '../generate/option-checks.js';
import {
  generateRules,
  pictureRules,
  textRules,
  type CommonOptions,
  type GenerateOptions,
  type PictureOptions,
  type TextOptions,
} from '../generate/options.js';
import { checkedPrompt } from '../generate/prompt.js';
import type { RankedCandidate } from '../generate/ranking.js';
import { embedding, type EmbeddingMedia, type ImageMedia, type VideoMedia } from '../image/media.js';
import { parseAddress } from './address.js';
import { floatsOf, malformed } from './received.js';
import { RemoteWork, type LostStreams, type RemoteCalls } from './remote-work.js';
import { errorOfStatus } from './status.js';
import {
  captionInput,
  chatInput,
  duration,
  modalities,
  mostRetention,
  promptInput,
  questionInput,
  resourceName,
  resumeCursor,
  scoreOrders,
  seedField,
  wireImage,
  type Input,
} from './requests.js';
import { pictureToWire, samplingToWire, wireEmbedding, wireParts } from './to-wire.js';
import { Transport, type TlsOptions } from './transport.js';

/** Options of `Emu.connect`. */
export interface ConnectOptions {
  /** Which of the server's models; its default unless said. */
  readonly model?: string;
  /** Sent as a bearer key; by default EMU_API_KEY. */
  readonly apiKey?: string;
  readonly tls?: TlsOptions;
  /** Repeats of a call that never reached the server; default 4. */
  readonly retries?: number;
  /**
   * Seconds for which a server is looked for whose stream was lost, to take the generation up again; default 30. 0: a lost
   * stream ends the generation.
   */
  readonly reconnectSeconds?: number;
  /**
   * Seconds for which the server goes on with a generation whose stream was lost; at most what the server allows. Default
   * 0: it stops within a step, and a generation that is taken up is made again with its seed, without telling anything
   * twice. With more nothing is computed twice, but the work of a client that died goes on for as long.
   */
  readonly retentionSeconds?: number;
  readonly signal?: AbortSignal;
}

/**
 * An Emu on a server, with the verbs, options and events of the local one. What it makes with a seed is what the
 * server's model would make here. Close it with `dispose()` or `await using`.
 */
export class RemoteEmu implements AsyncDisposable {
  readonly #transport: Transport;
  readonly #model: Model;
  /** Milliseconds. */
  readonly #lost: LostStreams;
  readonly #streams = new Set<GenerationStream>();
  #disposed = false;

  private constructor(transport: Transport, model: Model, lost: LostStreams) {
    this.#transport = transport;
    this.#model = model;
    this.#lost = lost;
  }

  /**
   * Connects to `grpc://host:port`, or `grpcs://host:port` for TLS, and asks what is there.
   * @throws EmuError INVALID_OPTION, SERVER_UNREACHABLE, UNAUTHENTICATED, MODEL_NOT_FOUND; or `signal.reason`.
   */
  static async connect(address: string, options: ConnectOptions = {}): Promise<RemoteEmu> {
    const { tls, apiKey = process.env['EMU_API_KEY'], retries, signal } = options;
    const { reconnectSeconds = 30, retentionSeconds = 0 } = options;
    for (const [name, value] of Object.entries({ reconnectSeconds, retentionSeconds })) {
      if (value >= 0 && value <= 86_400) continue;
      throw new EmuError('INVALID_OPTION', `[connect] ${name} must be in 0..86400, got ${value}`);
    }
    const transport = new Transport(parseAddress(address), { tls, apiKey, retries });
    try {
      const info = await transport.unary(
        ModelService.method.getServerInfo,
        create(GetServerInfoRequestSchema),
        { signal },
      );
      const name = options.model === undefined ? info.defaultModel : resourceName(options.model);
      const { model } = await transport.unary(
        ModelService.method.getModel,
        create(GetModelRequestSchema, { name }),
        { signal },
      );
      if (model === undefined) throw malformed('there is no model');
      return new RemoteEmu(transport, model, {
        reconnect: reconnectSeconds * 1000,
        retention: Math.min(retentionSeconds * 1000, mostRetention(info)),
      });
    } catch (error) {
      transport.close();
      throw error;
    }
  }

  /** What the server says of the model in use. */
  get model(): Model {
    return this.#model;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** As Emu.generate. */
  generate(prompt: Prompt, options: GenerateOptions = {}): GenerationStream {
    this.#check('generate', options, generateRules);
    checkedPrompt(prompt);
    const { output = 'text' } = options;
    return this.#generate(() => promptInput(prompt, 'prompt'), options, modalities[output]);
  }

  /** As Emu.chat. */
  chat(messages: readonly ChatMessage[], options: TextOptions = {}): GenerationStream {
    this.#check('chat', options, textRules);
    return this.#generate(() => chatInput(messages), options, modalities.text);
  }

  /** As Emu.caption. */
  caption(picture: ImageMedia | VideoMedia | EmbeddingMedia, options: CaptionOptions = {}): GenerationStream {
    this.#check('caption', options, captionRules);
    const { lead = '', ...rest } = options;
    return this.#generate(() => captionInput(picture, lead), rest, modalities.text);
  }

  /** As Emu.ask. */
  ask(media: Prompt, question: string, options: TextOptions = {}): GenerationStream {
    this.#check('ask', options, textRules);
    checkedPrompt(media, 'ask');
    checkedPrompt(question, 'ask question');
    return this.#generate(() => questionInput(media, question), options, modalities.text);
  }

  /** As Emu.imagine. */
  imagine(prompt: Prompt, options: PictureOptions = {}): GenerationStream {
    this.#check('imagine', options, pictureRules);
    checkedPrompt(prompt, 'imagine');
    return this.#generate(() => promptInput(prompt, 'imagine'), options, modalities.image);
  }

  /** As Emu.blend. */
  blend(pictures: readonly (ImageMedia | EmbeddingMedia)[], options: PictureOptions = {}): GenerationStream {
    this.#check('blend', options, pictureRules);
    const items = checkedPrompt(pictures, 'blend');
    if (items.length < 2 || items.some((item) => typeof item === 'string')) {
      throw new EmuError(
        'INVALID_PROMPT',
        `[blend] at least 2 pictures and no text are needed, got ${items.length}`,
      );
    }
    return this.#generate(() => promptInput(pictures, 'blend'), options, modalities.image);
  }

  /** As Emu.decodeImage. */
  decodeImage(embeddings: EmbeddingMedia, options: PictureOptions = {}): GenerationStream {
    this.#check('decodeImage', options, pictureRules);
    const service = GenerationService.method;
    const requestId = randomUUID();
    const calls: RemoteCalls = {
      begin: (take, signal, again) => {
        const request = create(DecodeImageRequestSchema, {
          model: this.#model.name,
          source: { case: 'embedding', value: wireEmbedding(embeddings) },
          image: pictureToWire(options),
          requestId: again === undefined ? requestId : randomUUID(),
          ...this.#retentionField(),
          ...seedField(again?.seed ?? options.seed),
        });
        return this.#transport.stream(service.decodeImage, request, take, { signal });
      },
      resume: (generationId, afterSequence, take, signal) => {
        const resume = create(DecodeImageRequestSchema, {
          source: { case: 'resume', value: resumeCursor(generationId, afterSequence) },
        });
        return this.#transport.stream(service.decodeImage, resume, take, { signal });
      },
      cancel: (generationId) => this.#cancel(generationId),
    };
    return this.#start(calls, options, false, embeddings.embeddings);
  }

  /** As Emu.encodeImages. @throws EmuError of the first picture that failed. */
  async encodeImages(
    pictures: readonly ImageMedia[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly EmbeddingMedia[]> {
    this.#check('encodeImages', options, { signal: abortSignal });
    const images = await Promise.all(pictures.map(wireImage));
    const request = create(EncodeImagesRequestSchema, { model: this.#model.name, images });
    const { results } = await this.#transport.unary(EmbeddingService.method.encodeImages, request, options);
    return results.map(({ result }) => {
      if (result.case === 'error') throw errorOfStatus(result.value);
      if (result.case === undefined) throw malformed('a picture has no result');
      return embedding(floatsOf(result.value.values), { space: result.value.space });
    });
  }

  /** As Emu.score. */
  async score(
    prompt: Prompt,
    candidates: readonly string[],
    options: ScoreOptions = {},
  ): Promise<readonly RankedCandidate[]> {
    this.#check('score', options, scoreRules);
    const { rankBy = 'token', segments, signal } = options;
    const request = create(ScoreRequestSchema, {
      model: this.#model.name,
      prefix: { parts: [...(await wireParts(prompt, 'score'))] },
      candidates: [...candidates],
      order: scoreOrders[rankBy],
      ...(segments !== undefined && { segmentCount: segments }),
    });
    const { scores } = await this.#transport.unary(EmbeddingService.method.score, request, { signal });
    return scores
      .map(({ rank, logprob, meanLoss, authorsLoss, tokenCount }, index) => ({
        rank,
        candidate: { index, tokenCount, logProbability: logprob, meanLoss, authorsLoss },
      }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ candidate }) => candidate);
  }

  /** As Emu.countTokens, but asked of the server. */
  async countTokens(prompt: Prompt): Promise<number> {
    this.#check('countTokens', {}, {});
    const parts = [...(await wireParts(prompt, 'countTokens'))];
    const request = create(CountTokensRequestSchema, { model: this.#model.name, prompt: { parts } });
    return (await this.#transport.unary(GenerationService.method.countTokens, request)).tokenCount;
  }

  /** The models of the server. */
  async models(): Promise<readonly Model[]> {
    this.#check('models', {}, {});
    const models: Model[] = [];
    for (let pageToken = ''; ;) {
      const request = create(ListModelsRequestSchema, { pageToken });
      const page = await this.#transport.unary(ModelService.method.listModels, request);
      models.push(...page.models);
      pageToken = page.nextPageToken;
      if (pageToken === '') return models;
    }
  }

  /** Version, limits and load of the server. */
  serverInfo(): Promise<GetServerInfoResponse> {
    this.#check('serverInfo', {}, {});
    return this.#transport.unary(ModelService.method.getServerInfo, create(GetServerInfoRequestSchema));
  }

  /** Cancels what is running and closes the connection. Safe to call twice. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const reason = new EmuError('MODEL_DISPOSED', '[remote] the connection was closed while the call ran');
    for (const stream of this.#streams) stream.cancel(reason);
    await Promise.allSettled([...this.#streams].map((stream) => stream.result()));
    this.#transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #check(place: string, options: object, rules: Parameters<typeof checkOptions>[2]): void {
    if (this.#disposed) {
      throw new EmuError('MODEL_DISPOSED', '[remote] the connection has been closed', {
        hint: 'Connect again with Emu.connect.',
      });
    }
    checkOptions(place, options, rules);
  }

  #generate(
    input: () => Promise<Input>,
    options: GenerateOptions,
    outputModalities: readonly OutputModality[],
  ): GenerationStream {
    const service = GenerationService.method;
    const { logprobs = false, topLogprobs = 0 } = options;
    const tokens = logprobs || options.tokens === true;
    const requestId = randomUUID();
    const begin: RemoteCalls['begin'] = async (take, signal, again) => {
      const request = create(GenerateRequestSchema, {
        model: this.#model.name,
        input: await input(),
        outputModalities: [...outputModalities],
        sampling: samplingToWire(options),
        image: pictureToWire(options),
        details: create(DetailOptionsSchema, {
          tokens,
          logprobs,
          topLogprobCount: topLogprobs,
          visualEmbeddings: outputModalities.includes(OutputModality.IMAGE),
        }),
        // The work that a stream was lost of may be on its way to its end: one that is begun again is another request.
        requestId: again === undefined ? requestId : randomUUID(),
        ...this.#retentionField(),
        ...seedField(again?.seed ?? options.seed),
      });
      return this.#transport.stream(service.generate, request, take, { signal });
    };
    const resume: RemoteCalls['resume'] = (generationId, afterSequence, take, signal) => {
      const cursor = { case: 'resume' as const, value: resumeCursor(generationId, afterSequence) };
      const request = create(GenerateRequestSchema, { input: cursor });
      return this.#transport.stream(service.generate, request, take, { signal });
    };
    const cancel: RemoteCalls['cancel'] = (generationId) => this.#cancel(generationId);
    return this.#start({ begin, resume, cancel }, options, tokens, undefined);
  }

  #start(
    calls: RemoteCalls,
    { signal, onAbort }: CommonOptions,
    tellsTokens: boolean,
    embeddings: FloatTensor | undefined,
  ): GenerationStream {
    const work = new RemoteWork(this.#transport, calls, {
      tellsTokens,
      embeddings,
      ...this.#lost,
    });
    const stream = new GenerationStream(work, { signal, onAbort });
    this.#streams.add(stream);
    const forget = (): void => void this.#streams.delete(stream);
    stream.result().then(forget, forget);
    return stream;
  }

  #cancel(generationId: string): Promise<unknown> {
    const request = create(CancelGenerationRequestSchema, { generationId });
    return this.#transport.unary(GenerationService.method.cancelGeneration, request);
  }

  #retentionField(): { readonly retention?: ReturnType<typeof duration> } {
    const { retention } = this.#lost;
    return retention === 0 ? {} : { retention: duration(retention) };
  }
}
