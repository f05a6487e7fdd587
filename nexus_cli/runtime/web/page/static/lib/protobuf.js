// Protocol Buffers on the wire: fields of a message by number, nothing of a schema.
// Source: Protocol Buffers encoding guide (varints, tags, wire types 0, 1, 2, 5).

/** The bytes are no message: they end too early, or have an unknown wire type. */
export class WireError extends Error {}

const LONGEST_VARINT = 10;

/** Reads one message; `at` is the next byte. */
export class WireReader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  get done() {
    return this.at >= this.bytes.length;
  }

  /** A varint as BigInt, 0 to 2^64 - 1. */
  varint() {
    let value = 0n;
    for (let count = 0; count < LONGEST_VARINT; count += 1) {
      if (this.done) throw new WireError('it ends inside a number');
      const byte = this.bytes[this.at];
      this.at += 1;
      value |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new WireError('a number is too long');
  }

  take(size) {
    if (this.at + size > this.bytes.length) throw new WireError('it ends too early');
    const part = this.bytes.subarray(this.at, this.at + size);
    this.at += size;
    return part;
  }

  /** The next field: `[number, wire type, BigInt | Uint8Array]`. */
  field() {
    const key = Number(this.varint());
    const number = Math.floor(key / 8);
    if (number === 0) throw new WireError('a field has the number 0');
    switch (key & 7) {
      case 0:
        return [number, 0, this.varint()];
      case 1:
        return [number, 1, this.take(8)];
      case 2:
        return [number, 2, this.take(Number(this.varint()))];
      case 5:
        return [number, 5, this.take(4)];
      default:
        throw new WireError(`wire type ${key & 7} is unknown`);
    }
  }
}

/** Every field of a message in its order. */
export function* fields(bytes) {
  const reader = new WireReader(bytes);
  while (!reader.done) yield reader.field();
}

export const text = (bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const float32 = (bytes) => viewOf(bytes).getFloat32(0, true);
export const float64 = (bytes) => viewOf(bytes).getFloat64(0, true);
