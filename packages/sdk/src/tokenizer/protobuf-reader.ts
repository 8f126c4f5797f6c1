import { EmuError } from '@emu/program';

/** One field of a message: its number and, by wire type, a number or bytes. */
export interface ProtobufField {
  readonly number: number;
  /** Wire types 0 (varint, low 53 bits) and 5 (32-bit pattern). */
  readonly value: number;
  /** Wire type 2; empty otherwise. */
  readonly bytes: Uint8Array;
}

/**
 * Walks the fields of a protobuf message without a schema. Every length is checked against the bytes there are,
 * so a hostile file ends in an error and never in an allocation.
 * @throws EmuError CHECKPOINT_CORRUPT at the offset where the message breaks.
 */
export function* protobufFields(message: Uint8Array, place: string): Generator<ProtobufField> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let offset = 0;

  const corrupt = (what: string): EmuError =>
    new EmuError('CHECKPOINT_CORRUPT', `[${place}] ${what} at byte ${offset} of ${message.length}`, {
      details: { offset, length: message.length },
    });

  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[offset];
      if (byte === undefined) throw corrupt('a number is cut off');
      offset += 1;
      if (shift < 49) value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw corrupt('a number is longer than ten bytes');
  };

  while (offset < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    if (number === 0) throw corrupt('field number 0');
    switch (tag % 8) {
      case 0:
        yield { number, value: varint(), bytes: empty };
        break;
      case 1:
        if (offset + 8 > message.length) throw corrupt('a 64-bit value is cut off');
        offset += 8; // no field we read has this type
        break;
      case 2: {
        const length = varint();
        if (length > message.length - offset) throw corrupt(`a field of ${length} bytes runs past the end`);
        const bytes = message.subarray(offset, offset + length);
        offset += length;
        yield { number, value: 0, bytes };
        break;
      }
      case 5:
        if (offset + 4 > message.length) throw corrupt('a 32-bit value is cut off');
        yield { number, value: view.getUint32(offset, true), bytes: empty };
        offset += 4;
        break;
      default:
        throw corrupt(`wire type ${tag % 8}`);
    }
  }
}

const empty = new Uint8Array(0);

const floatView = new DataView(new ArrayBuffer(4));

/** The float whose 32-bit pattern a wire type 5 field holds. */
export function floatFromBits(bits: number): number {
  floatView.setUint32(0, bits);
  return floatView.getFloat32(0);
}
