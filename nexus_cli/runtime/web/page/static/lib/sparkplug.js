// Sparkplug B payloads, decoded by hand: metrics with their names, types, values and properties.
// Source: Eclipse Sparkplug 3.0.0 §6.4, its sparkplug_b.proto.

import { fields, text, WireError } from './protobuf.js';
import { exact, moment, scalar, typeName } from './sparkplug_types.js';

export const PREFIX = 'spBv1.0/';
const DEEPEST = 8; // templates in templates, property sets in property sets

/** Fields of the value's `oneof`: [kind, wire type]. */
const METRIC_VALUES = {
  10: ['int', 0], 11: ['long', 0], 12: ['float', 5], 13: ['double', 1], 14: ['bool', 0], 15: ['string', 2],
  16: ['bytes', 2],
};
const shifted = (first) => ({
  [first]: ['int', 0], [first + 1]: ['long', 0], [first + 2]: ['float', 5], [first + 3]: ['double', 1],
  [first + 4]: ['bool', 0], [first + 5]: ['string', 2],
});
const CELL_VALUES = shifted(1); // DataSetValue
const PLAIN_VALUES = shifted(3); // PropertyValue and Template.Parameter

function valueOf(table, number, wire, value, type) {
  const [kind, wanted] = table[number];
  if (wire !== wanted) throw new WireError(`field ${number} has wire type ${wire}`);
  return scalar(kind, value, type);
}

function need(wire, wanted, number) {
  if (wire !== wanted) throw new WireError(`field ${number} has wire type ${wire}`);
}

function deeper(depth) {
  if (depth >= DEEPEST) throw new WireError('it is nested too deeply');
  return depth + 1;
}

function propertyValue(bytes, depth) {
  let type = '';
  let result = null;
  for (const [number, wire, value] of fields(bytes)) {
    if (number === 1) type = typeName(Number(value));
    else if (number in PLAIN_VALUES) result = valueOf(PLAIN_VALUES, number, wire, value, type);
    else if (number === 9) result = propertySet(value, deeper(depth));
    else if (number === 10) {
      result = [...fields(value)].filter(([each]) => each === 1).map((each) => propertySet(each[2], deeper(depth)));
    }
  }
  return result;
}

/** Keys and values are two lists of one order. */
function propertySet(bytes, depth) {
  const keys = [];
  const values = [];
  for (const [number, wire, value] of fields(bytes)) {
    if (number === 1 || number === 2) need(wire, 2, number);
    if (number === 1) keys.push(text(value));
    if (number === 2) values.push(propertyValue(value, depth));
  }
  return Object.fromEntries(keys.map((key, at) => [key, values[at] ?? null]));
}

function dataSet(bytes) {
  const columns = [];
  const types = [];
  const rows = [];
  for (const [number, wire, value] of fields(bytes)) {
    if (number === 2) columns.push(text(value));
    else if (number === 3) types.push(...(wire === 0 ? [value] : packed(value)));
    else if (number === 4) rows.push(value);
  }
  const names = types.map((type) => typeName(Number(type)));
  return { columns, types: names, rows: rows.map((row) => cells(row, names)) };
}

function packed(bytes) {
  const found = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (byte < 0x80) {
      found.push(value);
      value = shift = 0n;
    }
  }
  return found;
}

function cells(bytes, types) {
  const found = [];
  for (const [number, , element] of fields(bytes)) {
    if (number !== 1) continue;
    let cell = null;
    for (const [each, wire, value] of fields(element)) {
      if (each in CELL_VALUES) cell = valueOf(CELL_VALUES, each, wire, value, types[found.length] ?? '');
    }
    found.push(cell);
  }
  return found;
}

function parameter(bytes) {
  const found = { name: '', type: '', value: null };
  for (const [number, wire, value] of fields(bytes)) {
    if (number === 1) found.name = text(value);
    else if (number === 2) found.type = typeName(Number(value));
    else if (number in PLAIN_VALUES) found.value = valueOf(PLAIN_VALUES, number, wire, value, found.type);
  }
  return found;
}

function template(bytes, depth) {
  const found = { metrics: [] };
  for (const [number, , value] of fields(bytes)) {
    if (number === 1) found.version = text(value);
    else if (number === 2) found.metrics.push(metric(value, depth));
    else if (number === 3) (found.parameters ??= []).push(parameter(value));
    else if (number === 4) found.template = text(value);
    else if (number === 5) found.definition = value !== 0n;
  }
  return found;
}

function description(bytes) {
  for (const [number, , value] of fields(bytes)) if (number === 8) return text(value);
  return undefined;
}

/** One metric; its value is read last, because the type may follow it. */
function metric(bytes, depth) {
  const found = { name: '', alias: null, type: '', value: null };
  const late = [];
  for (const [number, wire, value] of fields(bytes)) {
    if (number === 1) need(wire, 2, number);
    if (number === 1) found.name = text(value);
    else if (number === 2) found.alias = exact(value);
    else if (number === 3) found.time = moment(value);
    else if (number === 4) found.type = typeName(Number(value));
    else if (number === 5 && value) found.historical = true;
    else if (number === 6 && value) found.transient = true;
    else if (number === 7 && value) found.isNull = true;
    else if (number === 8) found.description = description(value);
    else if (number === 9) found.properties = propertySet(value, depth);
    else late.push([number, wire, value]);
  }
  Object.defineProperty(found, 'raw', { value: late }); // read again once a birth gives the type; not shown
  for (const each of late) setValue(found, each, depth);
  return found;
}

function setValue(found, [number, wire, value], depth) {
  if (number in METRIC_VALUES) found.value = valueOf(METRIC_VALUES, number, wire, value, found.type);
  else if (number === 17) found.value = dataSet(value);
  else if (number === 18) found.value = template(value, deeper(depth));
}

/**
 * A payload: `{time, sequence, uuid?, body?, metrics, cut}`; a metric is `{name, alias, type, value, time?, …}`.
 *
 * @param {Uint8Array} bytes
 * @param {boolean} whole False when the end was cut off: what is complete is given, and `cut` is true.
 * @throws {WireError} It is no such payload.
 */
export function decodeSparkplug(bytes, whole = true) {
  const found = { time: null, sequence: null, metrics: [], cut: false };
  try {
    for (const [number, wire, value] of fields(bytes)) takeField(found, number, wire, value);
  } catch (error) {
    if (whole || !(error instanceof WireError)) throw asWireError(error);
    found.cut = true;
  }
  if (found.time === null && found.sequence === null && !found.metrics.length) throw new WireError('it is empty');
  return found;
}

function takeField(found, number, wire, value) {
  if (number === 1 && wire === 0) found.time = moment(value);
  else if (number === 2 && wire === 2) found.metrics.push(metric(value, 0));
  else if (number === 3 && wire === 0) found.sequence = exact(value);
  else if (number === 4 && wire === 2) found.uuid = text(value);
  else if (number === 5 && wire === 2) found.body = value;
  else throw new WireError(`a payload has no field ${number} of wire type ${wire}`);
}

function asWireError(error) {
  if (error instanceof WireError) return error;
  return new WireError(error instanceof TypeError ? 'a text is not UTF-8' : error.message);
}

/** Where a topic belongs: `{group, kind, node, device}`, null for one of another form. */
export function placeOf(topic) {
  const levels = topic.split('/');
  if (!topic.startsWith(PREFIX) || levels.length < 4 || levels.length > 5) return null;
  return { group: levels[1], kind: levels[2], node: levels[3], device: levels[4] ?? '' };
}

/** Names of metrics by alias, as births give them: data messages carry the alias alone. */
export class AliasBook {
  constructor(most = 20_000) {
    this.nodes = new Map();
    this.most = most;
    this.size = 0;
  }

  /** Take what a birth says; aliases are unique in an edge node, its devices included (§6.4.15). */
  learn(place, payload) {
    const node = `${place.group}/${place.node}`;
    if (place.kind === 'NBIRTH') this.forget(node);
    if (!this.nodes.has(node)) this.nodes.set(node, new Map());
    const known = this.nodes.get(node);
    for (const each of payload.metrics) {
      if (each.alias === null || !each.name) continue;
      if (this.size >= this.most && !known.has(each.alias)) continue;
      if (!known.has(each.alias)) this.size += 1;
      known.set(each.alias, { name: each.name, type: each.type, properties: each.properties });
    }
  }

  forget(node) {
    this.size -= this.nodes.get(node)?.size ?? 0;
    this.nodes.delete(node);
  }

  /** Fill names and types of the metrics that have an alias alone. */
  name(place, payload) {
    const known = this.nodes.get(`${place.group}/${place.node}`);
    for (const each of payload.metrics) {
      const birth = each.name || each.alias === null ? undefined : known?.get(each.alias);
      if (!birth) continue;
      each.name = birth.name;
      each.named = true;
      if (each.type) continue;
      each.type = birth.type;
      for (const raw of each.raw) setValue(each, raw, 0);
    }
    return payload;
  }
}
