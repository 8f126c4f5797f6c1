import { maskedCrc32c } from './crc32c.js';
import { bytesField, doubleField, floatField, joined, textField, varintField } from './wire-format.js';

/*
 * Event files that TensorBoard reads: records of a length, its checksum, an `Event` message and its checksum.
 * Source: tensorflow/core/util/event.proto, framework/summary.proto and lib/io/record_writer.cc.
 */

/** What every event file begins with. `wallTime` in seconds since 1970. */
export function fileVersionRecord(wallTime: number): Uint8Array {
  return eventRecord(wallTime, 0, textField(3, 'brain.Event:2'));
}

/** Scalars of one step, by tag. */
export function scalarsRecord(
  wallTime: number,
  step: number,
  scalars: Readonly<Record<string, number>>,
): Uint8Array {
  const values = Object.entries(scalars).map(([name, value]) =>
    bytesField(1, joined([textField(1, name), floatField(2, value)])),
  );
  return eventRecord(wallTime, step, bytesField(5, joined(values)));
}

export interface PictureSummary {
  readonly tag: string;
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
}

const rgbColours = 3;

/** Pictures of one step. */
export function picturesRecord(
  wallTime: number,
  step: number,
  pictures: readonly PictureSummary[],
): Uint8Array {
  const values = pictures.map(({ tag, png, width, height }) => {
    const picture = joined([
      varintField(1, height),
      varintField(2, width),
      varintField(3, rgbColours),
      bytesField(4, png),
    ]);
    return bytesField(1, joined([textField(1, tag), bytesField(4, picture)]));
  });
  return eventRecord(wallTime, step, bytesField(5, joined(values)));
}

function eventRecord(wallTime: number, step: number, content: Uint8Array): Uint8Array {
  // Zeros are not written, as proto3 has it.
  const stepField = step === 0 ? new Uint8Array() : varintField(2, step);
  return record(joined([doubleField(1, wallTime), stepField, content]));
}

function record(data: Uint8Array): Uint8Array {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(data.length), true);
  return joined([length, checksum(length), data, checksum(data)]);
}

function checksum(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, maskedCrc32c(bytes), true);
  return out;
}
