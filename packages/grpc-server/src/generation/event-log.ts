import { EmuError } from '@emu/program';

import { bytesOf, isJoined, merged, type JobEvent } from './job-event.js';

/** An event with its number. */
export interface LogEntry {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** What an event holds besides its bytes: its slot and the header of its array (measured: 250 to 490 bytes). */
const slotBytes = 384;

interface Slot {
  readonly sequence: number;
  /** Until a reader takes it; the same event may still grow. */
  event: JobEvent | undefined;
  bytes: Uint8Array | undefined;
  /** Bytes that it is counted with. */
  size: number;
}

/** Events one after another in one array: a long text is thousands of events of a few bytes. */
interface PackedEvents {
  /** Sequence of the first. */
  readonly first: number;
  readonly bytes: Uint8Array;
  /** Where each ends. */
  readonly ends: Uint32Array;
}

export interface EventLogOptions {
  readonly encode: (sequence: number, event: JobEvent) => Uint8Array;
  /** Bytes of events that are kept, with what each takes besides; the oldest go first. */
  readonly mostBytes: number;
  /** Told of every progress event that a newer one replaced. */
  readonly onDropped: () => void;
  /** Told how the bytes that are kept change. */
  readonly onBytes: (change: number) => void;
}

/**
 * The events of one generation, numbered from 1 without gaps, for any number of readers at their own speed. The last
 * event grows as long as no reader has taken it: text is added to text, newer progress replaces older. So a reader
 * that stops reading costs `mostBytes` at most, and nobody else anything.
 */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #slots: Slot[] = [];
  #packed: PackedEvents | undefined;
  #next = 1;
  #bytes = 0;

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  /** Bytes of the events that are kept, with what each takes besides. */
  get bytes(): number {
    return this.#bytes;
  }

  append(event: JobEvent): void {
    const slot = this.#growingFor(event);
    const grown = slot?.event === undefined ? undefined : merged(slot.event, event);
    if (slot !== undefined && grown !== undefined) {
      if (event.case === 'imageProgress') this.#options.onDropped();
      slot.event = grown;
      this.#resize(slot, bytesOf(grown));
    } else {
      const slot: Slot = { sequence: this.#next++, event, bytes: undefined, size: 0 };
      this.#slots.push(slot);
      this.#resize(slot, bytesOf(event));
    }
    while (this.#bytes > this.#options.mostBytes && this.#slots.length > 1) this.#dropFirst();
  }

  /**
   * The event after a number; undefined when there is none yet.
   * @throws EmuError CURSOR_EXPIRED when it is not kept any more, or when the number is of no event.
   */
  after(sequence: number): LogEntry | undefined {
    const first = this.#packed?.first ?? this.#slots[0]?.sequence ?? this.#next;
    if (sequence + 1 < first || sequence >= this.#next) throw expired(sequence, first, this.#next - 1);
    if (this.#packed !== undefined) return packedEntry(this.#packed, sequence + 1);
    const slot = this.#slots[sequence + 1 - first];
    if (slot === undefined) return undefined;
    const bytes = slot.bytes ?? this.#freeze(slot);
    return { sequence: slot.sequence, bytes };
  }

  /** Number of the last event; 0 before the first. */
  get last(): number {
    return this.#next - 1;
  }

  /**
   * What there is after a number when it is all such that more is still added to it: text, or tokens whose text has not
   * come; undefined otherwise.
   */
  growing(sequence: number): 'text' | 'tokens' | undefined {
    const count = this.#next - 1 - sequence;
    if (count < 1 || count > 2) return undefined;
    const events = this.#slots.slice(-count).map(({ event }) => event);
    if (!events.every((event) => event !== undefined && isJoined(event))) return undefined;
    return events.some((event) => event?.case === 'text') ? 'text' : 'tokens';
  }

  /** Lays out the events so that keeping them takes little more than their bytes. No event may come after it. */
  pack(): void {
    const [first] = this.#slots;
    if (first === undefined) return;
    const parts = this.#slots.map((slot) => slot.bytes ?? this.#freeze(slot));
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    const ends = new Uint32Array(parts.length);
    let at = 0;
    for (const [index, part] of parts.entries()) {
      bytes.set(part, at);
      ends[index] = at += part.length;
    }
    this.#slots.length = 0;
    this.#packed = { first: first.sequence, bytes, ends };
    this.#count(packedSize(this.#packed) - this.#bytes);
  }

  /** Forgets events up to a number; events that are packed go together. */
  trim(sequence: number): void {
    if (this.#packed !== undefined && sequence >= this.#next - 1) {
      this.#count(-packedSize(this.#packed));
      this.#packed = undefined;
    }
    while (this.#slots[0] !== undefined && this.#slots[0].sequence <= sequence) this.#dropFirst();
  }

  /**
   * Where an event may be added: to the last one, or as a token to tokens that only their text follows. Tokens and texts
   * take turns; without this none would ever be joined. A token stays before the text that it is part of.
   */
  #growingFor(event: JobEvent): Slot | undefined {
    const last = this.#slots.at(-1);
    if (event.case !== 'tokens' || last?.event?.case !== 'text') return last;
    const before = this.#slots.at(-2);
    return before?.event?.case === 'tokens' ? before : last;
  }

  #freeze(slot: Slot): Uint8Array {
    const { event } = slot;
    if (event === undefined) throw new EmuError('INTERNAL', '[stream] an event is lost');
    const bytes = this.#options.encode(slot.sequence, event);
    slot.bytes = bytes;
    slot.event = undefined;
    this.#resize(slot, bytes.length);
    return bytes;
  }

  #resize(slot: Slot, size: number): void {
    const held = size + slotBytes;
    this.#count(held - slot.size);
    slot.size = held;
  }

  #dropFirst(): void {
    this.#count(-(this.#slots.shift()?.size ?? 0));
  }

  #count(change: number): void {
    this.#bytes += change;
    this.#options.onBytes(change);
  }
}

function packedSize({ bytes, ends }: PackedEvents): number {
  return bytes.length + ends.byteLength + slotBytes;
}

function packedEntry({ first, bytes, ends }: PackedEvents, sequence: number): LogEntry | undefined {
  const index = sequence - first;
  const end = ends[index];
  if (end === undefined) return undefined;
  return { sequence, bytes: bytes.subarray(ends[index - 1] ?? 0, end) };
}

function expired(sequence: number, first: number, last: number): EmuError {
  const kept = last < first ? 'none are kept' : `${first} to ${last} are kept`;
  return new EmuError('CURSOR_EXPIRED', `[stream] events after ${sequence} are not there: ${kept}`, {
    hint: 'Read faster, resume sooner, or send the request again.',
    details: { sequence, first, last },
  });
}
