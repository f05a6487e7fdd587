// What the message centre holds: a ring buffer for each filter, read when it is shown.

import { bytesOf, briefOf, readPayload } from './payload.js';
import { Ring } from './ring.js';
import { AliasBook, decodeSparkplug, placeOf } from './sparkplug.js';
import { TopicRates } from './topic_rates.js';

export const KEPT = 1000;
export const MOST_FILTERS = 16;
const HEAVIEST = 2 * 1024 * 1024; // characters of one filter's messages
const MOST_TOPICS = 2000;
let heard = 0;

/** One message; its payload is read when somebody looks. */
class Heard {
  constructor(filter, [number, topic, receivedUs, retained, size, encoding, payload], book) {
    Object.assign(this, { filter, number, topic, receivedUs, retained, size, encoding, payload, book });
    heard += 1;
    this.key = heard; // numbers begin anew with each subscription
    this.cache = null;
  }

  get bytes() {
    return bytesOf(this.encoding, this.payload);
  }

  /** `{best, views}` of `readPayload`; read again by `forget`. */
  get reading() {
    if (this.cache === null) {
      const message = { topic: this.topic, bytes: this.bytes, size: this.size };
      const reading = readPayload(message, this.book);
      this.cache = { reading, brief: briefOf(message, reading) };
    }
    return this.cache.reading;
  }

  get brief() {
    return this.reading && this.cache.brief;
  }

  holds(search) {
    return this.topic.toLowerCase().includes(search) || this.brief.toLowerCase().includes(search) ||
      (this.encoding === 'utf8' && this.payload.toLowerCase().includes(search));
  }
}

/** Filters that are watched, each with its ring buffer, rates and what was dropped. */
export class MessageStore {
  constructor(kept = KEPT) {
    this.kept = kept;
    this.filters = new Map();
    this.book = new AliasBook();
    this.changes = 0; // rises with every change
  }

  /** Begin with a filter; false when it is watched already, or there are too many. */
  open(filter) {
    if (this.filters.has(filter) || this.filters.size >= MOST_FILTERS) return false;
    this.filters.set(filter, {
      filter, ring: new Ring(this.kept, HEAVIEST), rates: new TopicRates(Date.now()), dropped: 0, number: 0, topics: new Map(), error: null,
    });
    return true;
  }

  close(filter) {
    this.filters.delete(filter);
    this.changes += 1;
  }

  /** Take an answer of the socket. */
  take(filter, { messages, dropped, rates }) {
    const kept = this.filters.get(filter);
    if (!kept) return;
    kept.error = null;
    const again = messages.length > 0 && messages[0][0] <= kept.number; // a new subscription begins with what is known
    for (const each of messages) {
      kept.number = each[0];
      const known = again ? kept.topics.get(each[1]) : undefined;
      if (!known || known.last.receivedUs < each[2]) this.hear(kept, new Heard(filter, each, this.book));
    }
    kept.dropped += dropped;
    kept.rates.take(rates, Date.now());
    this.changes += 1;
  }

  hear(kept, message) {
    kept.ring.add(message, message.payload.length + message.topic.length);
    const known = kept.topics.get(message.topic);
    kept.topics.delete(message.topic); // the newest is last
    kept.topics.set(message.topic, { topic: message.topic, count: (known?.count ?? 0) + 1, last: message });
    if (kept.topics.size > MOST_TOPICS) kept.topics.delete(kept.topics.keys().next().value);
    const place = placeOf(message.topic);
    if (place?.kind.endsWith('BIRTH')) this.learn(place, message);
  }

  learn(place, message) {
    try {
      const bytes = message.bytes;
      this.book.learn(place, decodeSparkplug(bytes, bytes.length >= message.size));
    } catch {
      return; // what can't be read is shown as it is
    }
    for (const { ring } of this.filters.values()) for (const each of ring.newest()) each.cache = null;
  }

  /** Messages of the filters, the newest first; one that came for two filters is shown once. */
  messages(filters, search = '') {
    const wanted = search.toLowerCase();
    const rings = filters.map((filter) => this.filters.get(filter)).filter(Boolean).map(({ ring }) => ring.newest());
    const all = rings.length === 1 ? rings[0] : once(rings.flat());
    return wanted ? all.filter((each) => each.holds(wanted)) : all;
  }

  /** Topics of the filters by name, with count, rate and the newest message. */
  topics(filters, search = '') {
    const found = new Map();
    const wanted = search.toLowerCase();
    for (const filter of filters) {
      const kept = this.filters.get(filter);
      const rates = kept?.rates.now(Date.now()).topics;
      for (const each of kept?.topics.values() ?? []) {
        if (wanted && !each.last.holds(wanted)) continue;
        found.set(each.topic, { ...each, key: each.topic, rate: rates.get(each.topic) ?? 0 });
      }
    }
    return [...found.values()].sort((one, other) => (one.topic < other.topic ? -1 : 1));
  }

  rate(filter) {
    return this.filters.get(filter)?.rates.now(Date.now()).sum ?? 0;
  }
}

function once(messages) {
  const seen = new Set();
  return messages
    .filter((each) => {
      const key = `${each.topic}\0${each.receivedUs}\0${each.size}`;
      return !seen.has(key) && seen.add(key);
    })
    .sort((one, other) => other.receivedUs - one.receivedUs || other.number - one.number);
}
