import { corrupt, type FilePlace } from './checkpoint-error.js';

/** Longest string or byte string of a pickle, in bytes. */
export const stringLimit = 1 << 24;
const lineLimit = 1024;
const longLimit = 255;

/** Takes arguments of opcodes from the bytes of a pickle; every read is checked against their end. */
export class PickleReader {
  position = 0;
  private readonly data: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly place: FilePlace,
  ) {
    this.data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  u8(): number {
    return this.data.getUint8(this.take(1));
  }

  u16(): number {
    return this.data.getUint16(this.take(2), true);
  }

  i32(): number {
    return this.data.getInt32(this.take(4), true);
  }

  u32(): number {
    return this.data.getUint32(this.take(4), true);
  }

  /** A 64-bit length; beyond 2^53-1 it stays too large for every check. */
  u64(): number {
    return Number(this.data.getBigUint64(this.take(8), true));
  }

  f64BigEndian(): number {
    return this.data.getFloat64(this.take(8), false);
  }

  /** A little-endian two's complement integer; a number when it is exact, else a bigint. */
  long(length: number): number | bigint {
    if (length > longLimit) {
      throw corrupt(
        this.place,
        `an integer of ${length} bytes stands in the pickle, the limit is ${longLimit}`,
        {
          details: { length, limit: longLimit },
        },
      );
    }
    const start = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i] ?? 0);
    const signed = length === 0 ? 0n : BigInt.asIntN(length * 8, value);
    const asNumber = Number(signed);
    return Number.isSafeInteger(asNumber) ? asNumber : signed;
  }

  raw(length: number): Uint8Array {
    this.checkString(length);
    const start = this.take(length);
    return this.bytes.slice(start, start + length);
  }

  utf8(length: number): string {
    this.checkString(length);
    const start = this.take(length);
    return this.decode(start, start + length);
  }

  latin1(length: number): string {
    this.checkString(length);
    const start = this.take(length);
    // The platform's `latin1` label means windows-1252, so the bytes are widened here, in runs.
    const runs: string[] = [];
    for (let at = start; at < start + length; at += 4096) {
      runs.push(String.fromCharCode(...this.bytes.subarray(at, Math.min(at + 4096, start + length))));
    }
    return runs.join('');
  }

  /** Text up to a newline, without it. */
  line(): string {
    const start = this.position;
    const end = this.bytes.subarray(start, start + lineLimit).indexOf(0x0a);
    if (end < 0) {
      throw corrupt(
        this.place,
        `a line of the pickle at byte ${start} does not end within ${lineLimit} bytes`,
        {
          details: { position: start },
        },
      );
    }
    this.position = start + end + 1;
    return this.decode(start, start + end);
  }

  private decode(start: number, end: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        this.bytes.subarray(start, end),
      );
    } catch (error) {
      throw corrupt(this.place, `a string of the pickle at byte ${start} is not valid UTF-8`, {
        cause: error,
      });
    }
  }

  private checkString(length: number): void {
    if (length > stringLimit) {
      throw corrupt(
        this.place,
        `a string of ${length} bytes stands in the pickle, the limit is ${stringLimit}`,
        {
          details: { length, limit: stringLimit },
        },
      );
    }
  }

  private take(length: number): number {
    if (length < 0 || length > this.remaining) {
      throw corrupt(
        this.place,
        `the pickle is cut off: ${length} bytes are needed at ${this.position}, ${this.remaining} are left`,
        { details: { position: this.position, needed: length, remaining: this.remaining } },
      );
    }
    const start = this.position;
    this.position += length;
    return start;
  }
}
