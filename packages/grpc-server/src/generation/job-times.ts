import type { GenerationEvent } from '@emu/sdk';

import type { Times } from '../convert/events.js';
import type { ServerMetrics } from '../observe/metrics.js';
import type { JobSpec } from './job.js';

/** Times a generation by its events, and counts what it made. */
export class JobTimes {
  readonly #metrics: ServerMetrics;
  readonly #labels: { readonly model: string };
  readonly #arrivedAt: number;
  #startedAt: number | undefined;
  #firstAt: number | undefined;
  #lastText: number | undefined;
  #steps = 0;

  constructor({ events, arrivedAt }: Pick<JobSpec, 'events' | 'arrivedAt'>, metrics: ServerMetrics) {
    this.#metrics = metrics;
    this.#labels = { model: events.model.name };
    this.#arrivedAt = arrivedAt;
    metrics.generations.inc(this.#labels);
  }

  on(event: GenerationEvent): void {
    const at = performance.now();
    const { firstToken, interToken, queueWait } = this.#metrics;
    if (event.type === 'started') {
      this.#startedAt = at;
      queueWait.observe(this.#labels, (at - this.#arrivedAt) / 1000);
    } else if (event.type === 'text') {
      if (this.#lastText === undefined) firstToken.observe(this.#labels, (at - this.#arrivedAt) / 1000);
      else interToken.observe(this.#labels, (at - this.#lastText) / 1000);
      this.#lastText = at;
    } else if (event.type === 'image-progress') this.#steps += 1;
    else if (event.type === 'image') this.#onPicture(at);
    else if (event.type === 'finish') {
      this.#metrics.inputTokens.inc(this.#labels, event.usage.promptTokens);
      this.#metrics.outputTokens.inc(this.#labels, event.usage.completionTokens);
    }
    if (event.type !== 'queued' && event.type !== 'started') this.#firstAt ??= at;
  }

  /** The end; steps of a picture that was never finished were wasted. */
  over(finished: boolean): void {
    this.#metrics.generations.dec(this.#labels);
    if (this.#steps > 0)
      (finished ? this.#metrics.stepsUsed : this.#metrics.stepsWasted).inc(this.#labels, this.#steps);
    this.#steps = 0;
  }

  now(): Times {
    const since = (at: number | undefined): number => (at === undefined ? 0 : at - this.#arrivedAt);
    const now = performance.now();
    return {
      started: since(this.#startedAt),
      firstOutput: since(this.#firstAt),
      total: now - this.#arrivedAt,
    };
  }

  #onPicture(at: number): void {
    const { images, imageDuration, stepsUsed } = this.#metrics;
    images.inc(this.#labels);
    stepsUsed.inc(this.#labels, this.#steps);
    imageDuration.observe(this.#labels, (at - (this.#startedAt ?? this.#arrivedAt)) / 1000);
    this.#steps = 0;
  }
}
