/*
 * As much of protocol buffers as an event file needs: fields in wire format, joined to messages.
 * Source: the encoding page of the protocol buffers documentation.
 */

const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function tag(field: number, type: keyof typeof wireTypes): readonly number[] {
  return varint((field << 3) | wireTypes[type]);
}

/** Seven bits a byte, low bits first. `value` is a safe integer, 0 or above. */
function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return [...bytes, rest];
}

export function varintField(field: number, value: number): Uint8Array {
  return Uint8Array.from([...tag(field, 'varint'), ...varint(value)]);
}

export function doubleField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return joined([Uint8Array.from(tag(field, 'fixed64')), bytes]);
}

export function floatField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return joined([Uint8Array.from(tag(field, 'fixed32')), bytes]);
}

export function bytesField(field: number, value: Uint8Array): Uint8Array {
  return joined([Uint8Array.from([...tag(field, 'bytes'), ...varint(value.length)]), value]);
}

export function textField(field: number, value: string): Uint8Array {
  return bytesField(field, new TextEncoder().encode(value));
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
