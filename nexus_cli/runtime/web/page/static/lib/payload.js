// What a payload is: JSON, Sparkplug B, MessagePack, text or bytes. Chosen by looking, and as the person wishes.

import { decodeMessagePack } from './msgpack.js';
import { decodeSparkplug, placeOf } from './sparkplug.js';
import { hex, stringify } from './sparkplug_types.js';

export { stringify };

/** Views in the order in which they are offered. */
export const KINDS = { json: 'JSON', sparkplug: 'Sparkplug B', msgpack: 'MessagePack', text: 'Text', hex: 'Hex' };

const BYTES_IN_A_LINE = 16;

/** Bytes of a message as the server sends it. */
export function bytesOf(encoding, payload) {
  if (encoding !== 'base64') return new TextEncoder().encode(payload);
  return Uint8Array.from(atob(payload), (sign) => sign.charCodeAt(0));
}

/** The text of bytes; null when they are not UTF-8, or hold control characters that no text has. */
export function textOf(bytes, whole = true) {
  try {
    const found = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: !whole });
    return /[\x00-\x08\x0e-\x1f]/.test(found) ? null : found;
  } catch {
    return null;
  }
}

/**
 * Integers beyond 2^53 stay as their digits. `source` is what was written; browsers that do not give it round.
 */
function exactNumber(key, value, context) {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || !context?.source) return value;
  return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

/** Read text as JSON; throws SyntaxError. */
export const jsonOf = (text) => JSON.parse(text, exactNumber);

/**
 * Every way in which a message can be read, and the one that fits.
 *
 * @param {object} message `{topic, bytes, size}`; `size` is of the whole payload, bytes may be its beginning.
 * @param {AliasBook} book Names of Sparkplug's aliases.
 * @returns {{best: string, views: Object<string, {value?: any, text?: string, problem?: string}>}}
 */
export function readPayload(message, book) {
  const whole = message.bytes.length >= message.size;
  const views = {
    json: tried(() => asJson(message.bytes, whole)),
    sparkplug: tried(() => asSparkplug(message, whole, book)),
    msgpack: tried(() => asMessagePack(message.bytes, whole)),
    text: asText(message.bytes, whole),
    hex: { text: hexDump(message.bytes) },
  };
  return { best: best(message, views), views };
}

function tried(read) {
  try {
    return read();
  } catch (error) {
    return { problem: error.message };
  }
}

function best(message, views) {
  if (!message.bytes.length) return 'text';
  const place = placeOf(message.topic);
  if (place && place.kind !== 'STATE' && !views.sparkplug.problem) return 'sparkplug';
  if (!views.json.problem) return 'json';
  if (!views.text.problem) return 'text';
  if (isStructure(views.msgpack.value)) return 'msgpack';
  if (views.sparkplug.value?.metrics?.length) return 'sparkplug';
  return 'hex';
}

const isStructure = (value) => typeof value === 'object' && value !== null;

function asJson(bytes, whole) {
  if (!whole) return { problem: 'only its beginning is here, which is no JSON' };
  const text = textOf(bytes);
  return text === null ? { problem: 'it is not text' } : { value: jsonOf(text) };
}

function asSparkplug(message, whole, book) {
  const found = decodeSparkplug(message.bytes, whole);
  const place = placeOf(message.topic);
  return { value: book && place ? book.name(place, found) : found };
}

function asMessagePack(bytes, whole) {
  return whole ? { value: decodeMessagePack(bytes) } : { problem: 'only its beginning is here' };
}

function asText(bytes, whole) {
  const text = textOf(bytes, whole);
  if (text !== null) return { text };
  return { text: new TextDecoder().decode(bytes), problem: 'it is not text in UTF-8' };
}

/** Offset, bytes and their characters, sixteen in a line. */
export function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += BYTES_IN_A_LINE) {
    const part = bytes.subarray(at, at + BYTES_IN_A_LINE);
    const signs = Array.from(part, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'));
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex(part).padEnd(BYTES_IN_A_LINE * 3)} ${signs.join('')}`);
  }
  return lines.join('\n');
}

/** A payload in one line, for lists. */
export function briefOf(message, reading) {
  if (!message.bytes.length) return '(empty: clears the topic)';
  const view = reading.views[reading.best];
  if (reading.best === 'sparkplug') return sparkplugBrief(view.value);
  if (reading.best === 'hex') return `${hex(message.bytes.subarray(0, 32))} …`.replace(/ …$/, message.bytes.length > 32 ? ' …' : '');
  return (reading.best === 'text' ? view.text : stringify(view.value)).slice(0, 300);
}

function sparkplugBrief(payload) {
  const shown = payload.metrics.slice(0, 6).map((each) => `${nameOf(each)}=${stringify(each.value)}`);
  const more = payload.metrics.length > 6 ? ` … ${payload.metrics.length} metrics` : '';
  return (shown.join('  ') || `sequence ${payload.sequence ?? '-'}`).slice(0, 300) + more;
}

/** How a metric is called: by its name, or by the alias while no birth has named it. */
export const nameOf = (metric) => metric.name || (metric.alias === null ? '(no name)' : `alias ${metric.alias}`);
