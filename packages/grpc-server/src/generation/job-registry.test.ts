import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { fromBinary } from '@bufbuild/protobuf';
import { DataType, GenerateResponseSchema, ImageFormat } from '@emu/proto';
import type { GenerationEvent, GenerationStream } from '@emu/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { anonymous } from '../access/caller.js';
import { ServerMetrics } from '../observe/metrics.js';
import { servedModel, type ServedModel } from '../served-model.js';
import { openSmallModel } from '../testing/small-model.js';
import { encodeGenerate } from './job-event.js';
import { JobRegistry } from './job-registry.js';
import type { GenerationJob, JobSpec } from './job.js';

let small: Awaited<ReturnType<typeof openSmallModel>>;
let model: ServedModel;
const metrics = new ServerMetrics([], 'test');
beforeAll(async () => {
  small = await openSmallModel();
  model = servedModel('small', small.emu);
});
afterAll(() => small.close());

const never = new AbortController().signal;

/** A short text that a repeat may join. */
function spec(more: Partial<JobSpec> = {}, tokens = 4): JobSpec {
  const id = `generate-${randomUUID()}`;
  return {
    id,
    owner: anonymous.name,
    repeat: { requestId: randomUUID(), digest: 'same' },
    retentionMs: 0,
    events: {
      ...{ generationId: id, model, format: ImageFormat.PNG },
      ...{ tokens: false, logprobs: false, visualEmbeddings: false },
      visualEmbeddingType: DataType.UNSPECIFIED,
    },
    encode: encodeGenerate,
    begin: (signal) =>
      Promise.resolve(
        small.emu.generate('a story', {
          ...{ maxNewTokens: tokens, minNewTokens: tokens, numBeams: 1 },
          ...{ signal, onAbort: 'return' },
        }),
      ),
    arrivedAt: performance.now(),
    ...more,
  };
}

async function eventsOf(job: GenerationJob): Promise<number> {
  let count = 0;
  await job.read(
    0,
    () => {
      count += 1;
      return Promise.resolve();
    },
    never,
  );
  return count;
}

/** Collects what nobody holds; finalization runs between tasks. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    gc();
  }
}

describe('a repeat', () => {
  it('does not join a generation whose last reader has just left', async () => {
    const registry = new JobRegistry(metrics, 100);
    const repeat = { requestId: randomUUID(), digest: 'same' };
    const left = registry.beginOrJoin(spec({ repeat }, 200));
    const leaving = new AbortController();
    const leave = (): void => {
      leaving.abort(new Error('gone'));
    };
    const first = left.read(0, leave, leaving.signal);
    await expect(first).rejects.toThrow('gone');
    expect([left.isOver, left.isStopped]).toEqual([false, true]);
    const again = registry.beginOrJoin(spec({ repeat }));
    expect(again).not.toBe(left);
    expect(registry.beginOrJoin(spec({ repeat }))).toBe(again);
    await left.done;
    await again.done;
    expect(again.outcome?.usage.completionTokens).toBe(4);
    expect(registry.beginOrJoin(spec({ repeat }))).toBe(again);
  });
});

describe('finished generations', () => {
  it('hold nothing of the request that began them', async () => {
    const registry = new JobRegistry(metrics, 100);
    const media: WeakRef<Uint8Array>[] = [];
    for (let index = 0; index < 10; index++) {
      const picture = new Uint8Array(100_000).fill(index);
      media.push(new WeakRef(picture));
      const plain = spec();
      const begin: JobSpec['begin'] = (signal) => {
        expect(picture[0]).toBe(index);
        return plain.begin(signal);
      };
      const job = registry.beginOrJoin({ ...plain, begin });
      await eventsOf(job);
      await job.done;
    }
    await collectGarbage();
    expect(registry.kept.jobs).toBe(10);
    // The last one may still lie in a register of this loop.
    expect(media.slice(0, -1).filter((each) => each.deref() !== undefined)).toEqual([]);
  });

  it('are forgotten oldest first when they hold too many bytes together', async () => {
    const mostBytes = 50_000;
    const registry = new JobRegistry(metrics, 100, mostBytes);
    const specs = Array.from({ length: 30 }, () => spec({}, 12));
    const jobs: GenerationJob[] = [];
    for (const each of specs) {
      const job = registry.beginOrJoin(each);
      jobs.push(job);
      await eventsOf(job);
      await job.done;
      expect(registry.kept.bytes).toBeLessThanOrEqual(mostBytes);
    }
    const { jobs: count } = registry.kept;
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(20);
    const [first, last] = [specs.at(0), specs.at(-1)];
    if (first === undefined || last === undefined) throw new Error('there are specs');
    expect(registry.beginOrJoin(last)).toBe(jobs.at(-1));
    expect(jobs.at(0)?.log.bytes).toBe(0);
    expect(() => registry.find(first.id, anonymous, 'resume.generation_id')).toThrow(
      `[resume.generation_id] no generation "${first.id}" is kept`,
    );
    const again = registry.beginOrJoin(first);
    expect(again).not.toBe(jobs.at(0));
    await eventsOf(again);
  });

  it('tell those who read them everything, kept or not', async () => {
    const registry = new JobRegistry(metrics, 100, 1);
    const job = registry.beginOrJoin(spec({}, 30));
    const numbers: number[] = [];
    await job.read(
      0,
      async ({ sequence }) => {
        numbers.push(sequence);
        await job.done; // by the second event it is over, and there is no room to keep it
      },
      never,
    );
    expect(registry.kept).toEqual({ jobs: 0, bytes: 0 });
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(numbers.length).toBeGreaterThan(2);
    expect(job.log.bytes).toBe(0);
  });
});

describe('a generation that its reader left', () => {
  it('is not kept: a repeat begins it anew', async () => {
    const registry = new JobRegistry(metrics, 100);
    const repeated = spec({}, 1000);
    const gone = new Error('gone');
    const reader = new AbortController();
    const job = registry.beginOrJoin(repeated);
    const reading = job.read(
      0,
      () => {
        reader.abort(gone);
        return Promise.resolve();
      },
      reader.signal,
    );
    await expect(reading).rejects.toBe(gone);
    await job.done;
    expect(registry.kept).toEqual({ jobs: 0, bytes: 0 });
    const again = registry.beginOrJoin({ ...repeated, begin: spec().begin });
    expect(again).not.toBe(job);
    expect(await eventsOf(again)).toBeGreaterThan(1);
  });
});

/** A generation of 200 texts, one in each task of the event loop. */
function counting(): GenerationStream {
  const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 200, promptImages: 0, images: 0 };
  const stream = {
    async *[Symbol.asyncIterator](): AsyncGenerator<GenerationEvent> {
      yield { type: 'started', model: 'small', seed: 1 };
      for (let index = 0; index < 200; index++) {
        await new Promise((resolve) => setImmediate(resolve));
        yield { type: 'text', text: `${index} ` };
      }
    },
    result: () =>
      Promise.resolve({ finishReason: 'stop', tokens: [], usage: { ...usage, denoisingSteps: 0 } }),
  };
  return stream as unknown as GenerationStream;
}

describe('a reader', () => {
  /** Texts of one stream, with `others` that run beside it. */
  async function textsBeside(others: number): Promise<readonly string[]> {
    const registry = new JobRegistry(metrics, 100);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    for (let index = 0; index < others; index++) {
      registry.beginOrJoin(spec({ begin: () => held.then(counting) }));
    }
    const texts: string[] = [];
    const job = registry.beginOrJoin(spec({ begin: () => Promise.resolve(counting()) }));
    await job.read(
      0,
      ({ bytes }) => {
        const { event } = fromBinary(GenerateResponseSchema, bytes);
        if (event.case === 'text') texts.push(event.value.text);
        return Promise.resolve();
      },
      never,
    );
    release();
    await registry.idle();
    return texts;
  }

  it('gets every text at once when few streams run', async () => {
    expect(await textsBeside(0)).toEqual(Array.from({ length: 200 }, (_, index) => `${index} `));
  });

  it('gets the same text in fewer messages when many run', async () => {
    const texts = await textsBeside(60);
    expect(texts.join('')).toBe(Array.from({ length: 200 }, (_, index) => `${index} `).join(''));
    expect(texts[0]).toBe('0 '); // the first one waits for nothing
    expect(texts.length).toBeLessThan(100);
  });
});
