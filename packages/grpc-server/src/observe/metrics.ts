import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { ServedModel } from '../served-model.js';

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Everything that `/metrics` shows. Labels are only model, method, code and runtime. */
export class ServerMetrics {
  readonly registry = new Registry();
  readonly requests = this.#counter('emu_requests_total', 'Calls that ended.', ['method', 'code']);
  readonly requestDuration = this.#histogram('emu_request_duration_seconds', 'From arrival to end.', [
    'method',
  ]);
  readonly queueWait = this.#histogram('emu_queue_wait_seconds', 'From arrival until the model took it.', [
    'model',
  ]);
  readonly firstToken = this.#histogram(
    'emu_time_to_first_token_seconds',
    'From arrival to the first text.',
    ['model'],
  );
  readonly interToken = this.#histogram('emu_inter_token_latency_seconds', 'Between two pieces of text.', [
    'model',
  ]);
  readonly imageDuration = this.#histogram(
    'emu_image_duration_seconds',
    'From start to a finished picture.',
    ['model'],
  );
  readonly inputTokens = this.#counter('emu_input_tokens_total', 'Positions of prompts.', ['model']);
  readonly outputTokens = this.#counter('emu_output_tokens_total', 'Tokens made.', ['model']);
  readonly stepsUsed = this.#counter('emu_denoising_steps_total', 'Steps of pictures that were finished.', [
    'model',
  ]);
  readonly stepsWasted = this.#counter(
    'emu_denoising_steps_wasted_total',
    'Steps of pictures that were not.',
    ['model'],
  );
  readonly images = this.#counter('emu_images_total', 'Pictures made.', ['model']);
  readonly droppedPreviews = this.#counter(
    'emu_dropped_previews_total',
    'Progress events that slow readers did not get.',
    ['model'],
  );
  readonly generations = this.#gauge('emu_generations', 'Generations under way, those that wait included.', [
    'model',
  ]);
  readonly kept = this.#gauge(
    'emu_generations_kept',
    'Finished generations that can still be joined or resumed.',
    [],
  );
  readonly keptBytes = this.#gauge('emu_generations_kept_bytes', 'About the bytes that they hold.', []);
  readonly readerBytes = this.#gauge('emu_unread_bytes', 'Bytes of events that readers have not taken.', []);

  constructor(models: readonly ServedModel[], version: string) {
    const { registry } = this;
    const build = this.#gauge(
      'emu_build_info',
      'Version of the server and runtime of each model; always 1.',
      ['version', 'model', 'runtime'],
    );
    for (const model of models) build.set({ version, model: model.name, runtime: model.runtime }, 1);
    this.#sampled(
      'emu_queue_depth',
      'Calls that wait for the model.',
      models,
      ({ emu }) => emu.statistics().queued,
    );
    this.#sampled(
      'emu_kv_cache_pages_held',
      'Pages of the key/value cache that calls hold.',
      models,
      ({ emu }) => emu.statistics().pages.held,
    );
    this.#sampled(
      'emu_kv_cache_pages',
      'Pages of the key/value cache.',
      models,
      ({ emu }) => emu.statistics().pages.total,
    );
    this.#sampled(
      'emu_kv_cache_sequences_held',
      'Sequences of the key/value cache that calls hold.',
      models,
      ({ emu }) => emu.statistics().sequences.held,
    );
    this.#sampled(
      'emu_kv_cache_sequences',
      'Sequences that the key/value cache has room for.',
      models,
      ({ emu }) => emu.statistics().sequences.total,
    );
    this.#sampled('emu_kv_cache_bytes', 'Bytes of the key/value cache.', models, (model) => model.cacheBytes);
    this.#sampled(
      'emu_native_bytes',
      'Bytes of weights and states.',
      models,
      ({ emu }) => emu.model.memoryBytes,
    );
    this.#sampled(
      'emu_model_runs',
      'Runs of the language model so far.',
      models,
      ({ emu }) => emu.statistics().runs,
    );
    this.#sampled(
      'emu_model_rows',
      'Rows of all runs so far; rows over runs is the batch size.',
      models,
      ({ emu }) => emu.statistics().rows,
    );
    this.#sampled(
      'emu_cached_rows',
      'Rows so far that the cache already had.',
      models,
      ({ emu }) => emu.statistics().rowsShared,
    );
    collectDefaultMetrics({ register: registry, prefix: 'emu_' });
  }

  #counter<T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<T extends string>(name: string, help: string, labelNames: readonly T[]): Gauge<T> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram<T extends string>(name: string, help: string, labelNames: readonly T[]): Histogram<T> {
    return new Histogram({ name, help, labelNames, buckets: seconds, registers: [this.registry] });
  }

  /** A gauge that is asked when somebody looks. */
  #sampled(
    name: string,
    help: string,
    models: readonly ServedModel[],
    value: (model: ServedModel) => number,
  ): void {
    new Gauge({
      name,
      help,
      labelNames: ['model'],
      registers: [this.registry],
      collect() {
        for (const model of models) if (!model.emu.disposed) this.set({ model: model.name }, value(model));
      },
    });
  }
}
