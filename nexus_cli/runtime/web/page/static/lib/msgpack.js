// MessagePack, decoded into plain values. Source: the MessagePack specification (github.com/msgpack/msgpack, spec.md).

import { exact, hex, stringify } from './sparkplug_types.js';

/** The bytes are no MessagePack. */
export class PackError extends Error {}

const DEEPEST = 64;
const TIMESTAMP = -1; // the extension type of a time

class Unpacker {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  take(size) {
    if (this.at + size > this.bytes.length) throw new PackError('it ends too early');
    const start = this.at;
    this.at += size;
    return start;
  }

  uint(size) {
    const at = this.take(size);
    if (size === 1) return this.view.getUint8(at);
    if (size === 2) return this.view.getUint16(at);
    return size === 4 ? this.view.getUint32(at) : exact(this.view.getBigUint64(at));
  }

  int(size) {
    const at = this.take(size);
    if (size === 1) return this.view.getInt8(at);
    if (size === 2) return this.view.getInt16(at);
    return size === 4 ? this.view.getInt32(at) : exact(this.view.getBigInt64(at));
  }

  part(size) {
    const at = this.take(size);
    return this.bytes.subarray(at, at + size);
  }

  text(size) {
    const part = this.part(size);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(part);
    } catch {
      throw new PackError('a text is not UTF-8');
    }
  }

  list(size, depth) {
    if (size > this.bytes.length - this.at) throw new PackError('it ends too early');
    return Array.from({ length: size }, () => this.value(depth + 1));
  }

  map(size, depth) {
    if (size * 2 > this.bytes.length - this.at) throw new PackError('it ends too early');
    const found = Object.create(null);
    for (let count = 0; count < size; count += 1) {
      const key = this.value(depth + 1);
      found[typeof key === 'string' ? key : stringify(key)] = this.value(depth + 1);
    }
    return found;
  }

  extension(size) {
    const type = this.int(1);
    const part = this.part(size);
    return type === TIMESTAMP ? time(part) : { extension: type, bytes: hex(part) };
  }

  value(depth) {
    if (depth > DEEPEST) throw new PackError('it is nested too deeply');
    const head = this.uint(1);
    if (head < 0x80) return head;
    if (head < 0x90) return this.map(head & 0x0f, depth);
    if (head < 0xa0) return this.list(head & 0x0f, depth);
    if (head < 0xc0) return this.text(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    return this.long(head, depth);
  }

  long(head, depth) {
    if (head === 0xc0) return null;
    if (head === 0xc1) throw new PackError('a byte has no meaning');
    if (head <= 0xc3) return head === 0xc3;
    if (head <= 0xc6) return hex(this.part(this.uint(1 << (head - 0xc4))));
    if (head <= 0xc9) return this.extension(this.uint(1 << (head - 0xc7)));
    if (head === 0xca) return this.view.getFloat32(this.take(4));
    if (head === 0xcb) return this.view.getFloat64(this.take(8));
    if (head <= 0xcf) return this.uint(1 << (head - 0xcc));
    if (head <= 0xd3) return this.int(1 << (head - 0xd0));
    if (head <= 0xd8) return this.extension(1 << (head - 0xd4));
    if (head <= 0xdb) return this.text(this.uint(1 << (head - 0xd9)));
    if (head <= 0xdd) return this.list(this.uint(head === 0xdc ? 2 : 4), depth);
    return this.map(this.uint(head === 0xde ? 2 : 4), depth);
  }
}

function time(part) {
  const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
  let seconds = 0;
  let nanoseconds = 0;
  if (part.length === 4) seconds = view.getUint32(0);
  else if (part.length === 8) {
    nanoseconds = view.getUint32(0) >>> 2;
    seconds = (view.getUint32(0) & 3) * 2 ** 32 + view.getUint32(4);
  } else if (part.length === 12) {
    nanoseconds = view.getUint32(0);
    seconds = Number(view.getBigInt64(4));
  } else throw new PackError('a time has a wrong length');
  const date = new Date(seconds * 1000 + nanoseconds / 1e6);
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString();
}

/** One value that uses every byte. Bytes and unknown extensions are given as hex. Throws PackError. */
export function decodeMessagePack(bytes) {
  const reader = new Unpacker(bytes);
  const found = reader.value(0);
  if (reader.at !== bytes.length) throw new PackError('bytes follow its end');
  return found;
}
