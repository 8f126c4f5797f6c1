import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { EmuError } from '@emu/program';

/**
 * Fields and elements that a request may have. The largest that makes sense has a few ten thousand; 16 MiB hold eight
 * million empty ones, and each becomes an object of a hundred bytes.
 */
export const mostFields = 100_000;

/**
 * Looks through a message without building anything of it.
 * @throws EmuError MESSAGE_TOO_LARGE for more fields than a request may have; what the reader throws for bytes that are
 *   no message.
 */
export function checkFieldCount(message: DescMessage, bytes: Uint8Array): void {
  countFields(message, bytes, mostFields);
}

/** Returns how many more there may be. */
function countFields(message: DescMessage, bytes: Uint8Array, most: number): number {
  const fields = fieldsByNumber(message);
  const reader = new BinaryReader(bytes);
  let left = most;
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    left -= 1;
    if (wireType === WireType.LengthDelimited) {
      const length = reader.uint32();
      const start = reader.pos;
      const field = fields.get(number);
      if (field?.message !== undefined) {
        left = countFields(field.message, bytes.subarray(start, start + length), left);
      } else if (isPacked(field)) {
        left -= length; // an element has a byte at least
      }
      reader.pos = start + length;
    } else {
      reader.skip(wireType, number);
    }
    if (left < 0) throw tooMany();
  }
  return left;
}

function isPacked(field: DescField | undefined): boolean {
  return field?.fieldKind === 'list' && (field.listKind === 'enum' || field.packed);
}

const known = new WeakMap<DescMessage, ReadonlyMap<number, DescField>>();

function fieldsByNumber(message: DescMessage): ReadonlyMap<number, DescField> {
  let fields = known.get(message);
  if (fields === undefined) {
    fields = new Map(message.fields.map((field) => [field.number, field]));
    known.set(message, fields);
  }
  return fields;
}

function tooMany(): EmuError {
  return new EmuError('MESSAGE_TOO_LARGE', `[request] the message has more than ${mostFields} fields`, {
    hint: 'Send fewer parts in one request.',
    details: { mostFields },
  });
}
