import { join } from 'node:path';

import type { TrainingSample } from '../task.js';
import { AppendLog } from './append-log.js';
import { pngSize } from './png-size.js';
import { fileVersionRecord, picturesRecord, scalarsRecord } from './tensorboard-events.js';

export const metricsFile = 'metrics.jsonl';
// A run has one event file, which a resumed run goes on with; TensorBoard wants "tfevents" in the name.
const eventFile = 'events.out.tfevents.0.emu';

export interface RunLogsOptions {
  readonly tensorboard: boolean;
  /** Bytes of each log that belong to the checkpoint the run goes on from. */
  readonly bytes: Readonly<Record<string, number>>;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** metrics.jsonl and the event file of TensorBoard. */
export class RunLogs {
  readonly #metrics: AppendLog;
  readonly #events: AppendLog | undefined;
  readonly #now: () => number;

  private constructor(metrics: AppendLog, events: AppendLog | undefined, now: () => number) {
    this.#metrics = metrics;
    this.#events = events;
    this.#now = now;
  }

  /** @throws EmuError INVALID_OPTION or OUT_OF_MEMORY naming the file. */
  static async open(folder: string, { tensorboard, bytes, now }: RunLogsOptions): Promise<RunLogs> {
    const metrics = await AppendLog.open(join(folder, metricsFile), bytes[metricsFile] ?? 0);
    if (!tensorboard) return new RunLogs(metrics, undefined, now);
    const events = await AppendLog.open(join(folder, eventFile), bytes[eventFile] ?? 0);
    if (events.bytes === 0) await events.append(fileVersionRecord(now()));
    return new RunLogs(metrics, events, now);
  }

  /** Adds a line; `metrics.step` is its step. */
  async metrics(metrics: Readonly<Record<string, number>>): Promise<void> {
    await this.#metrics.append(`${JSON.stringify(metrics)}\n`);
    const { step = 0, ...scalars } = metrics;
    await this.#events?.append(scalarsRecord(this.#now(), step, scalars));
  }

  async samples(step: number, samples: readonly TrainingSample[]): Promise<void> {
    const pictures = samples.flatMap((sample) => {
      const size = sample.kind === 'image' ? pngSize(sample.png) : undefined;
      if (sample.kind !== 'image' || size === undefined) return [];
      return [{ tag: `samples/${sample.name}`, png: sample.png, ...size }];
    });
    if (pictures.length > 0) await this.#events?.append(picturesRecord(this.#now(), step, pictures));
  }

  /** Bytes of each log, once they are durable. */
  async sync(): Promise<Record<string, number>> {
    await this.#metrics.sync();
    await this.#events?.sync();
    const events = this.#events === undefined ? {} : { [eventFile]: this.#events.bytes };
    return { [metricsFile]: this.#metrics.bytes, ...events };
  }

  async close(): Promise<void> {
    await this.#metrics.close();
    await this.#events?.close();
  }
}
