import { describe, expect, it } from 'vitest';

import { crc32c, maskedCrc32c } from './crc32c.js';
import { fileVersionRecord, picturesRecord, scalarsRecord } from './tensorboard-events.js';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A field of a message: its number and its bytes, or its number where it is one. */
type Field = readonly [number, number | Uint8Array];

/** Reads a protocol buffers message, knowing nothing of what is in it. */
function fieldsOf(message: Uint8Array): readonly Field[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = view.getUint8(at++);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const type = tag & 7;
    if (type === 0) fields.push([tag >> 3, varint()]);
    else if (type === 1) fields.push([tag >> 3, view.getFloat64((at += 8) - 8, true)]);
    else if (type === 5) fields.push([tag >> 3, view.getFloat32((at += 4) - 4, true)]);
    else {
      const length = varint();
      fields.push([tag >> 3, message.subarray(at, (at += length))]);
    }
  }
  return fields;
}

/** The message of a record whose two checksums are right. */
function messageOf(record: Uint8Array): Uint8Array {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const length = Number(view.getBigUint64(0, true));
  expect(record.length).toBe(length + 16);
  expect(view.getUint32(8, true)).toBe(maskedCrc32c(record.subarray(0, 8)));
  expect(view.getUint32(12 + length, true)).toBe(maskedCrc32c(record.subarray(12, 12 + length)));
  return record.subarray(12, 12 + length);
}

const bytesAt = (fields: readonly Field[], number: number): Uint8Array =>
  fields.find(([found]) => found === number)?.[1] as Uint8Array;

describe('CRC-32C', () => {
  it('gives the published values', () => {
    expect(crc32c(ascii('123456789'))).toBe(0xe3069283);
    // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and counting up.
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
  });
});

describe('an event file', () => {
  it('begins as every one that TensorFlow writes', () => {
    const record = fileVersionRecord(1.7e9);
    expect(Buffer.from(record.subarray(0, 13)).toString('hex')).toBe('1800000000000000a37f4b2209');
    expect(fieldsOf(messageOf(record))).toEqual([
      [1, 1.7e9],
      [3, ascii('brain.Event:2')],
    ]);
  });

  it('has the scalars of a step, by tag', () => {
    const event = fieldsOf(messageOf(scalarsRecord(5, 300, { loss: 0.5, 'loss.text': 0.25 })));
    expect(event.slice(0, 2)).toEqual([
      [1, 5],
      [2, 300],
    ]);
    const values = fieldsOf(bytesAt(event, 5)).map(([, value]) => fieldsOf(value as Uint8Array));
    expect(values).toEqual([
      [
        [1, ascii('loss')],
        [2, 0.5],
      ],
      [
        [1, ascii('loss.text')],
        [2, 0.25],
      ],
    ]);
  });

  it('has pictures with their size', () => {
    const png = Uint8Array.from({ length: 200 }, (_, index) => index);
    const event = fieldsOf(messageOf(picturesRecord(5, 2 ** 40, [{ tag: 'a', png, width: 64, height: 48 }])));
    expect(event[1]).toEqual([2, 2 ** 40]);
    const value = fieldsOf(bytesAt(fieldsOf(bytesAt(event, 5)), 1));
    expect(fieldsOf(bytesAt(value, 4))).toEqual([
      [1, 48],
      [2, 64],
      [3, 3],
      [4, png],
    ]);
  });
});
