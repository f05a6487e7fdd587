// Data types of Sparkplug B, and how a metric's value is read for each.
// Source: Eclipse Sparkplug 3.0.0 §6.4.16 (data types), §6.4.17 (arrays), its sparkplug_b.proto.

import { float32, float64, text, WireError } from './protobuf.js';

/** Names by number; the place in the list is the number. */
export const TYPES = [
  'Unknown', 'Int8', 'Int16', 'Int32', 'Int64', 'UInt8', 'UInt16', 'UInt32', 'UInt64', 'Float', 'Double', 'Boolean',
  'String', 'DateTime', 'Text', 'UUID', 'DataSet', 'Bytes', 'File', 'Template', 'PropertySet', 'PropertySetList',
  'Int8Array', 'Int16Array', 'Int32Array', 'Int64Array', 'UInt8Array', 'UInt16Array', 'UInt32Array', 'UInt64Array',
  'FloatArray', 'DoubleArray', 'BooleanArray', 'StringArray', 'DateTimeArray',
];

const SIGNED = { Int8: 8, Int16: 16, Int32: 32, Int64: 64 };

export const typeName = (number) => TYPES[number] ?? `type ${number}`;

/** A whole number as Number where that holds it exactly, else as BigInt. */
export function exact(value) {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : BigInt(value);
}

const digits = (value) => (JSON.rawJSON ? JSON.rawJSON(value.toString()) : value.toString());

/** JSON of a value; whole numbers beyond 2^53 with all their digits. */
export function stringify(value) {
  return JSON.stringify(value, (key, each) => (typeof each === 'bigint' ? digits(each) : each)) ?? 'null';
}

/** An integer of a field, with the sign of its type: negative numbers travel as two's complement. */
export function integer(value, type) {
  const bits = SIGNED[type];
  return exact(bits ? BigInt.asIntN(bits, value) : value);
}

/** Milliseconds since 1970 UTC as ISO 8601; the number itself where no calendar has it. */
export function moment(milliseconds) {
  const date = new Date(Number(milliseconds));
  return Number.isNaN(date.getTime()) ? exact(milliseconds) : date.toISOString();
}

/** Bytes as hex, in pairs. */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

const ELEMENTS = {
  Int8Array: [1, (view, at) => view.getInt8(at)],
  Int16Array: [2, (view, at) => view.getInt16(at, true)],
  Int32Array: [4, (view, at) => view.getInt32(at, true)],
  Int64Array: [8, (view, at) => exact(view.getBigInt64(at, true))],
  UInt8Array: [1, (view, at) => view.getUint8(at)],
  UInt16Array: [2, (view, at) => view.getUint16(at, true)],
  UInt32Array: [4, (view, at) => view.getUint32(at, true)],
  UInt64Array: [8, (view, at) => exact(view.getBigUint64(at, true))],
  FloatArray: [4, (view, at) => view.getFloat32(at, true)],
  DoubleArray: [8, (view, at) => view.getFloat64(at, true)],
  DateTimeArray: [8, (view, at) => moment(view.getBigUint64(at, true))],
};

function booleans(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) throw new WireError('an array of booleans is too short');
  const count = view.getUint32(0, true);
  if (count > (bytes.length - 4) * 8) throw new WireError('an array of booleans is too short');
  return Array.from({ length: count }, (_, at) => Boolean(bytes[4 + (at >> 3)] & (0x80 >> (at & 7))));
}

function strings(bytes) {
  const found = [];
  let start = 0;
  bytes.forEach((byte, at) => {
    if (byte !== 0) return;
    found.push(text(bytes.subarray(start, at)));
    start = at + 1;
  });
  return found;
}

/** What a field of bytes holds for its type. */
export function fromBytes(bytes, type) {
  if (type === 'BooleanArray') return booleans(bytes);
  if (type === 'StringArray') return strings(bytes);
  const element = ELEMENTS[type];
  if (!element) return hex(bytes);
  const [size, read] = element;
  if (bytes.length % size) throw new WireError('an array ends inside an element');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / size }, (_, at) => read(view, at * size));
}

/** A scalar from the field of a `oneof`; `kind` is int, long, float, double, bool, string or bytes. */
export function scalar(kind, value, type) {
  switch (kind) {
    case 'int':
    case 'long':
      return type === 'DateTime' ? moment(value) : integer(value, type);
    case 'float':
      return float32(value);
    case 'double':
      return float64(value);
    case 'bool':
      return value !== 0n;
    case 'string':
      return text(value);
    default:
      return fromBytes(value, type);
  }
}
