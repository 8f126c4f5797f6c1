import { create } from '@bufbuild/protobuf';
import { TextDeltaSchema, TokenChunkSchema } from '@emu/proto';
import { describe, expect, it } from 'vitest';

import { EventLog } from './event-log.js';
import type { JobEvent } from './job-event.js';

const text = (value: string): JobEvent => ({ case: 'text', value: create(TextDeltaSchema, { text: value }) });

function shown(event: JobEvent): string {
  if (event.case === 'tokens') return `tokens ${event.value.tokens.map(({ id }) => id).join(',')}`;
  return event.case === 'text' ? event.value.text : event.case;
}

/** A log whose encoded events read "number:text", and the bytes that it says it keeps. */
function newLog(mostBytes = 2 ** 20): { readonly log: EventLog; readonly told: () => number } {
  let told = 0;
  const log = new EventLog({
    encode: (sequence, event) => Buffer.from(`${sequence}:${shown(event)}`),
    mostBytes,
    onDropped: () => undefined,
    onBytes: (change) => (told += change),
  });
  return { log, told: () => told };
}

/** Appends texts that a reader takes one by one, so that none is joined with another. */
function fill(log: EventLog, count: number): void {
  for (let index = 1; index <= count; index++) {
    log.append(text(`t${index}`));
    log.after(index - 1);
  }
}

function all(log: EventLog, after = 0): string[] {
  const found: string[] = [];
  for (let last = after; ; last++) {
    const entry = log.after(last);
    if (entry === undefined) return found;
    expect(entry.sequence).toBe(last + 1);
    found.push(Buffer.from(entry.bytes).toString());
  }
}

describe('EventLog', () => {
  it('tells the same after it was packed, in a tenth of the bytes', () => {
    const { log, told } = newLog();
    fill(log, 500);
    log.append(text('never'));
    log.append(text(' taken'));
    const before = log.bytes;
    log.pack();
    const events = all(log);
    expect(events).toHaveLength(501);
    expect(events.slice(0, 2)).toEqual(['1:t1', '2:t2']);
    expect(events.at(-1)).toBe('501:never taken');
    expect(all(log, 499)).toEqual(['500:t500', '501:never taken']);
    expect(log.bytes).toBeLessThan(before / 10);
    expect(told()).toBe(log.bytes);
    expect(() => log.after(501 + 1)).toThrow('[stream] events after 502 are not there: 1 to 501 are kept');
  });

  it('joins tokens and texts that take turns, each token before its text, until a reader takes them', () => {
    const { log } = newLog();
    const token = (id: number): JobEvent => ({
      case: 'tokens',
      value: create(TokenChunkSchema, { tokens: [{ id }] }),
    });
    const both = (id: number): void => {
      log.append(token(id));
      log.append(text(`t${id} `));
    };
    both(1);
    expect(log.growing(0)).toBe('text');
    both(2);
    expect(all(log)).toEqual(['1:tokens 1,2', '2:t1 t2 ']);
    expect(log.growing(2)).toBeUndefined();
    log.append(token(3));
    expect(log.growing(2)).toBe('tokens');
    log.append(text('t3 '));
    log.after(2);
    both(4); // the first of the pair has been taken
    both(5);
    expect(all(log, 2)).toEqual(['3:tokens 3', '4:t3 ', '5:tokens 4,5', '6:t4 t5 ']);
  });

  it('packs what is left of a log that lost its beginning, and forgets all of it', () => {
    const { log, told } = newLog();
    fill(log, 10);
    log.trim(4);
    log.pack();
    expect(all(log, 4)).toEqual(['5:t5', '6:t6', '7:t7', '8:t8', '9:t9', '10:t10']);
    expect(() => log.after(3)).toThrow('[stream] events after 3 are not there: 5 to 10 are kept');
    log.trim(7); // packed events go together
    expect(all(log, 9)).toEqual(['10:t10']);
    log.trim(Infinity);
    expect([log.bytes, told()]).toEqual([0, 0]);
    expect(() => log.after(4)).toThrow('[stream] events after 4 are not there: none are kept');
  });

  it('counts what an event takes besides its bytes', () => {
    const { log } = newLog(40_000);
    fill(log, 1000);
    expect(log.bytes).toBeLessThanOrEqual(40_000);
    expect(all(log, 999)).toEqual(['1000:t1000']);
    expect(() => log.after(0)).toThrow('[stream] events after 0 are not there: ');
  });

  it('packs nothing when there is nothing', () => {
    const { log } = newLog();
    log.pack();
    expect([log.bytes, log.after(0)]).toEqual([0, undefined]);
  });
});
